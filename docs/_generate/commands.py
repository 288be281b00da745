"""``docs/api/commands.md``: the help of every command, as it is printed."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from camserve.arguments import parser as camserve
from evaluation.arguments import parser as evaluation
from gateway.cli import parser as server

DOCS = Path(__file__).resolve().parents[1]
PAGE = DOCS / "api" / "commands.md"

HEAD = """\
# Commands

Made from the commands' own help by `make docs`; do not edit.
"""

_WIDTH = {"COLUMNS": "100"}
"""Of the help, which else is that of whoever's terminal made the page."""


def text() -> str:
    """The page."""
    with mock.patch.dict(os.environ, _WIDTH, clear=True):
        tops = (camserve(), server({}), evaluation())
        return HEAD + "".join(part for top in tops for part in _sections(top, 2))


def _sections(parser: argparse.ArgumentParser, depth: int) -> Iterator[str]:
    told = parser.format_help().replace(f"{DOCS.parent}/", "")
    yield f"\n{'#' * depth} {parser.prog}\n\n```text\n{told}```\n"
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from _sections(sub, depth + 1)


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
