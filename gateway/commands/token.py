"""``camserve-server token``: a token for a caller."""

import argparse
import sys

from gateway.access.callers import new_token
from gateway.commands.command import Commands, Environment


def add(commands: Commands, _env: Environment) -> None:
    """Declares the command."""
    token = commands.add_parser("token", help="make a token for a caller, and its entry for the file of callers")
    token.add_argument("name", metavar="NAME", help="of the caller")
    token.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Makes it; the token goes to the terminal, the entry to where the file is."""
    token, digest = new_token()
    print(f"# give this token to {options.name}; it is shown only here:\n#   {token}", file=sys.stderr)
    print(f"  - name: {options.name}\n    tokens: [{digest}]")
    return 0
