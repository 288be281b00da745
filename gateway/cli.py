"""The ``camserve-server`` command."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from camserve.tracing import TracingError
from gateway.commands import build, check, gateway, health, token, torchserve, up
from gateway.launcher.java import JavaNotFoundError
from gateway.launcher.process import TorchServeError
from gateway.settings import SettingError
from model_store.recipe import RecipeError

_COMMANDS = (up, gateway, torchserve, health, token, build, check)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status: 0, or 1 for a failure; wrong usage exits with 2."""
    options = parser(os.environ).parse_args(arguments)
    try:
        return int(options.run(options))
    except (SettingError, RecipeError, JavaNotFoundError, TorchServeError, TracingError, OSError) as error:
        print(f"camserve-server: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # a second Ctrl-C, from somebody who does not want to wait
        return 130


def parser(env: Mapping[str, str]) -> argparse.ArgumentParser:
    """The command's arguments; the environment has their defaults."""
    parser = argparse.ArgumentParser(prog="camserve-server", description="Serves explanations of vision models.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands, env)
    return parser
