"""What the page on trouble quotes is what the programs say."""

import re

import pytest

from tests.machine import ROOT

ROOMS = ("client/camserve", "gateway", "handlers", "saliency", "model_store", "tests/e2e", "Makefile")
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
QUOTED = [match for line in PAGE.splitlines() for match in re.findall(r"^\| `([^`]+)`", line)]


@pytest.fixture(scope="module")
def said() -> str:
    """All sources in one text, without the quotes between which a long sentence is broken."""
    files = [each for room in ROOMS for each in ([ROOT / room] if "." in room else sorted((ROOT / room).rglob("*.py")))]
    text = "\n".join(file.read_text(encoding="utf-8") for file in [*files, ROOT / "Makefile"])
    return re.sub(r"[\"']\s*\n\s*f?[\"']", "", text)


def test_there_are_quotations() -> None:
    assert len(QUOTED) > 12


@pytest.mark.parametrize("quoted", QUOTED)
def test_what_is_quoted_is_said(quoted: str, said: str) -> None:
    pieces = re.split(r"\.\.\.|localhost:\d+|'[^']*'(?!s)|\d[\d.]*|circle$", quoted)
    longest = max(pieces, key=len).strip()
    assert len(longest) > 6
    assert longest in said
