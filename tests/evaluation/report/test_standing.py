"""Who competes, who is best; and a table in Markdown, which shows both."""

import math
from collections.abc import Mapping

from evaluation.report.markdown import markdown
from evaluation.report.section import Better, Column, Figure, Table
from evaluation.report.standing import standing
from tests.evaluation.report.conftest import HOSTILE


def _best(better: Better, means: Mapping[str, float | None], digits: int = 1) -> frozenset[str]:
    rows = {name: [None if mean is None else Figure(mean)] for name, mean in means.items()}
    return standing(Table("main", "", [Column("a", better, digits)], rows)).best[0]


def test_controls_and_bounds_do_not_compete(table: Table) -> None:
    found = standing(table)
    assert found.competing == ("grad-cam", HOSTILE, "hires-cam")
    assert found.apart == ("fake-cam", "true masks")
    assert found.best == (frozenset({"grad-cam", HOSTILE}), frozenset({"hires-cam"}), frozenset())


def test_the_best() -> None:
    means = {"a": 1.0, "b": 3.0, "c": 2.0, "d": None, "e": math.nan, "fake-cam": 9.0, "centre": -9.0}
    assert _best(Better.HIGHER, means) == {"b"}
    assert _best(Better.LOWER, means) == {"a"}
    assert _best(Better.NEITHER, means) == set()


def test_what_reads_the_same_is_equally_good() -> None:
    means = {"a": 1.04, "b": 0.96, "c": 0.0}
    assert _best(Better.HIGHER, means) == {"a", "b"}
    assert _best(Better.HIGHER, means, digits=2) == {"a"}


def test_what_all_reach_is_no_merit() -> None:
    assert _best(Better.HIGHER, {"a": 1.04, "b": 0.96}) == set()
    assert _best(Better.HIGHER, {"a": 1.0}) == set()
    assert _best(Better.HIGHER, {"a": 1.0, "b": None}) == set()
    assert _best(Better.HIGHER, {}) == set()


def test_markdown(table: Table) -> None:
    assert markdown(table).splitlines() == [
        "| way | AD % ↓ | AG \\| gain ↑ | ms |",
        "|---|---:|---:|---:|",
        "| `grad-cam` | **0.3 ± 0.2** | 0.00 ± 10.00 | 12 |",
        f"| `{HOSTILE}` | **0.3** | \N{EN DASH} | n/a |",
        "| `hires-cam` | 7.0 ± 12.3 | **0.50 ± 0.12** | 1234 |",
        "| *`fake-cam`* | 0.0 ± 0.0 | 0.00 | 0 |",
        "| *`true masks`* | \N{MINUS SIGN}1.0 | 1.00 | \N{EN DASH} |",
    ]
