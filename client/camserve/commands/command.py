"""How a subcommand is declared."""

import argparse
from collections.abc import Callable, Sequence
from typing import TypeAlias

import shtab

from camserve.client import ExplanationClient

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run = Callable[[ExplanationClient, argparse.Namespace], int]
"""Does a command and returns its exit status."""


def add_command(
    commands: Commands,
    name: str,
    run: Run,
    *,
    parents: Sequence[argparse.ArgumentParser],
    text: str,
    examples: str,
) -> argparse.ArgumentParser:
    """Declares a command that calls a server.

    Args:
        commands: where it is added.
        name: what it is called by.
        run: does it.
        parents: whose arguments it has too.
        text: what it does, in a line.
        examples: what stands under its help.
    """
    command = commands.add_parser(
        name,
        parents=parents,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    return command


def completed_by_files(argument: argparse.Action) -> None:
    """Has shells complete an argument with names of files."""
    argument.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks
