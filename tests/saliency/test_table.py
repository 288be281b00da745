"""The documented table is the registry's."""

from pathlib import Path

from saliency.table import table


def test_the_documented_table_is_current() -> None:
    documented = Path(__file__).resolve().parents[2] / "docs" / "methods.md"
    assert documented.read_text(encoding="utf-8") == table(), "run: make docs"
