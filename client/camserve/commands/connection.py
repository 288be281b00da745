"""The connection to the server: its arguments, and the client that they make."""

import argparse
import os
from typing import TypedDict

import grpc

from camserve.channel import DEFAULT_ADDRESS, DEFAULT_TIMEOUT
from camserve.client import ExplanationClient
from camserve.commands import values
from camserve.commands.command import completed_by_files
from camserve.commands.inputs import InputError
from camserve.credentials import tls_credentials


class Security(TypedDict):
    """How a client encrypts, and who it says it is; see `ExplanationClient`."""

    credentials: grpc.ChannelCredentials | None
    token: str


def connection_arguments(timeout: float = DEFAULT_TIMEOUT) -> argparse.ArgumentParser:
    """Which server is asked, and how; by default with so many seconds for each answer."""
    parent = argparse.ArgumentParser(add_help=False)
    parent.add_argument(
        "--server",
        metavar="HOST:PORT",
        default=os.environ.get("CAMSERVE_SERVER", DEFAULT_ADDRESS),
        help="address of the server (default: $CAMSERVE_SERVER, else localhost:50051)",
    )
    security_arguments(parent)
    parent.add_argument(
        "--timeout",
        type=values.seconds,
        default=timeout,
        metavar="SECONDS",
        help="longest wait for each answer (default: %(default)g)",
    )
    return parent


def security_arguments(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Adds what `security` reads."""
    parser.add_argument("--tls", action="store_true", help="encrypt, and trust the roots that gRPC knows")
    for name, text in (
        ("--ca", "encrypt, and trust the roots in this PEM file"),
        ("--certificate", "PEM file with your own certificate, if the server asks"),
        ("--key", "PEM file with its private key"),
    ):
        completed_by_files(parser.add_argument(name, metavar="FILE", help=text))


def security(arguments: argparse.Namespace) -> Security:
    """What `security_arguments` and the variable ``CAMSERVE_TOKEN`` say.

    Raises:
        ValueError: a certificate without its key, or the other way round.
        OSError: a file cannot be read.
    """
    encrypted = arguments.tls or arguments.ca or arguments.certificate or arguments.key
    credentials = tls_credentials(ca=arguments.ca, certificate=arguments.certificate, key=arguments.key)
    # The token is not an argument, which every process could read.
    return {"credentials": credentials if encrypted else None, "token": os.environ.get("CAMSERVE_TOKEN", "")}


def connect(arguments: argparse.Namespace) -> ExplanationClient:
    """The client of `connection_arguments`.

    Raises:
        InputError: they do not fit together.
        OSError: a file cannot be read.
    """
    try:
        return ExplanationClient(arguments.server, timeout=arguments.timeout, **security(arguments))
    except ValueError as error:
        raise InputError(f"{error} (--server, --tls, --ca, --certificate, --key)") from None
