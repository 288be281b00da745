"""Credentials of encrypted channels."""

from os import PathLike
from pathlib import Path

import grpc

_File = str | PathLike[str]


def tls_credentials(
    *, ca: _File | None = None, certificate: _File | None = None, key: _File | None = None
) -> grpc.ChannelCredentials:
    """Credentials for a server that speaks TLS.

    Args:
        ca: PEM file with the roots that the server's certificate must come from; None: gRPC's own.
        certificate: PEM file with the caller's own certificate, for a server that asks for one.
        key: PEM file with its private key.

    Raises:
        ValueError: one of certificate and key is given without the other.
        OSError: a file cannot be read.
    """
    if (certificate is None) != (key is None):
        raise ValueError("certificate, key: give both, or neither")
    roots, chain, private = (None if file is None else Path(file).read_bytes() for file in (ca, certificate, key))
    return grpc.ssl_channel_credentials(roots, private, chain)
