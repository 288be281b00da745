"""``camserve-server health``: whether a gateway can answer."""

import argparse

from camserve.credentials import tls_credentials
from gateway.commands.command import Commands, Environment
from gateway.health import check_health
from gateway.settings import SettingError


def add(commands: Commands, _env: Environment) -> None:
    """Declares the command."""
    health = commands.add_parser("health", help="ask a gateway whether it can answer; the exit status says so")
    health.add_argument("--server", metavar="HOST:PORT", default="localhost:50051", help="default: %(default)s")
    health.add_argument("--ca", metavar="FILE", help="PEM roots of the gateway's certificate, if it speaks TLS")
    health.add_argument("--certificate", metavar="FILE", help="PEM certificate to show it, if it asks for one")
    health.add_argument("--key", metavar="FILE", help="its PEM private key")
    health.add_argument("--server-name", metavar="NAME", help="name in the gateway's certificate (default: HOST)")
    health.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Asks, prints the answer, and returns 0 if it is yes."""
    try:
        files = {"ca": options.ca, "certificate": options.certificate, "key": options.key}
        credentials = tls_credentials(**files) if any(files.values()) or options.server_name else None
    except ValueError as error:
        raise SettingError(error) from error
    serving = check_health(options.server, credentials, options.server_name)
    print("serving" if serving else "not serving")
    return 0 if serving else 1
