"""docs/errors.md says what the code does: every reason, with its code, and every one has a test."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import pytest

from camserve import errors

ROOT = Path(__file__).parents[2]
SOURCES = ("client/camserve", "gateway", "handlers")
REASON = re.compile(r"[A-Z][A-Z0-9_]{3,}")
ROW = re.compile(r"\| `(?P<reason>[A-Z_0-9]+)` \| (?P<code>[A-Z_]+) \| (?P<when>.+?) \| (?P<remedy>.+?) \|")
MAKERS = {  # of errors, beside their classes
    "fault": errors.InvalidArgumentError,
    "_error": errors.InvalidArgumentError,
    "identifier": errors.InvalidArgumentError,
    "_unavailable": errors.UnavailableError,
}
CHOSEN_AT_RUN_TIME = {  # LayerError of the core, in Explainer.explained
    "LAYER_UNSUITABLE": errors.FailedPreconditionError,
    "LAYER_UNKNOWN": errors.InvalidArgumentError,
}


@cache
def raised() -> dict[str, set[str]]:
    """The codes of each reason that the sources raise."""
    found: dict[str, set[str]] = defaultdict(set)
    for reason, cls in CHOSEN_AT_RUN_TIME.items():
        found[reason].add(cls.code.name)
    for call in (call for folder in SOURCES for call in calls(ROOT / folder)):
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        maker: Any = MAKERS.get(name) or getattr(errors, name, None)
        if name == "__init__":  # of WorkerDiedError, the only one of its kind
            maker = errors.InternalError
        if isinstance(maker, type) and issubclass(maker, errors.CamserveError):
            for reason in constants(call):
                found[reason].add(maker.code.name)
    return dict(found)


def calls(folder: Path) -> Iterator[ast.Call]:
    for file in folder.rglob("*.py"):
        if "_pb2" not in file.name:
            yield from (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))


def constants(call: ast.Call) -> Iterator[str]:
    for argument in call.args:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and REASON.fullmatch(argument.value):
            yield argument.value


def rows() -> dict[str, re.Match[str]]:
    lines = (ROOT / "docs" / "errors.md").read_text().splitlines()
    found = [row for line in lines if (row := ROW.match(line))]
    assert len({row["reason"] for row in found}) == len(found), "a reason is there twice"
    return {row["reason"]: row for row in found}


@cache
def named_in_tests() -> set[str]:
    """Reasons that tests name."""
    found: set[str] = set()
    for file in (ROOT / "tests").rglob("*.py"):
        if file != Path(__file__):
            nodes = ast.walk(ast.parse(file.read_text()))
            found |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return found


def test_every_reason_has_a_row_and_every_row_a_reason() -> None:
    assert set(rows()) == set(raised())


@pytest.mark.parametrize("reason", sorted(raised()))
def test_the_code_is_right_and_there_is_a_test(reason: str) -> None:
    assert raised()[reason] == {rows()[reason]["code"]}
    assert rows()[reason]["code"] in grpc.StatusCode.__members__
    assert reason in named_in_tests()
