"""Plots: points lie where the axes say, lines break where nothing is known, methods keep their looks."""

import math
import re

import pytest

from evaluation.report.drawing import BOTTOM, LEFT, RIGHT, TOP, Drawing, draw
from evaluation.report.section import Column, Figure, Plot, Section, Table
from evaluation.report.style import COLOURS, styles

_Line = list[tuple[float, float]]


def _draw(line: _Line) -> Drawing:
    plot = Plot("plot", "", "x", "y", {"grad-cam": line})
    return draw(plot, styles([Section("a", "", "", {}, plots=[plot])]))


@pytest.mark.parametrize(
    ("line", "across", "up"),
    [
        ([(0.0, 0.0), (1.0, 0.3)], "0.0 0.2 0.4 0.6 0.8 1.0", "0.00 0.05 0.10 0.15 0.20 0.25 0.30"),
        ([(0, -20), (60, 100)], "0 10 20 30 40 50 60", "-20 0 20 40 60 80 100"),
        ([(1, 2.0), (4, 2.0)], "1.0 1.5 2.0 2.5 3.0 3.5 4.0", "1.4 1.6 1.8 2.0 2.2 2.4 2.6"),
        ([(0, 1e-7), (1, 3e-7)], "0.0 0.2 0.4 0.6 0.8 1.0", "1e-07 1.5e-07 2e-07 2.5e-07 3e-07"),
    ],
)
def test_axes_end_on_round_numbers(line: _Line, across: str, up: str) -> None:
    drawing = _draw(line)
    for ticks, expected in ((drawing.across, across), (drawing.up, up)):
        assert " ".join(tick.text for tick in ticks).replace("\N{MINUS SIGN}", "-") == expected
    assert (drawing.across[0].at, drawing.across[-1].at) == (LEFT, RIGHT)
    assert (drawing.up[0].at, drawing.up[-1].at) == (BOTTOM, TOP)


def test_points_lie_where_the_ticks_say() -> None:
    drawing = _draw([(0.0, 1.0), (0.5, 0.2), (1.0, 0.0)])
    middle = drawing.lines[0].points[1]
    assert middle.x == pytest.approx((LEFT + RIGHT) / 2, abs=0.05)
    assert middle.y == next(tick.at for tick in drawing.up if tick.text == "0.2")
    assert middle.text == "grad-cam: 0.5, 0.2"
    assert drawing.lines[0].path == f"M{LEFT} {TOP}L{middle.x:g} {middle.y:g}L{RIGHT} {BOTTOM}"


def test_lines_break_where_nothing_is_known() -> None:
    line = [(0.0, 1.0), (1.0, 0.5), (2.0, math.nan), (3.0, 0.5), (4.0, 0.0)]
    drawn = _draw(line).lines[0]
    assert re.sub(r"[^ML]", "", drawn.path) == "MLML"
    assert len(drawn.points) == 4


@pytest.mark.parametrize("line", [[], [(0.0, math.nan)]])
def test_a_plot_of_nothing_has_axes(line: _Line) -> None:
    drawing = _draw(line)
    assert drawing.lines[0].path == ""
    assert len(drawing.across) > 1


def test_long_lines_have_few_marks() -> None:
    drawn = _draw([(float(n), 0.5) for n in range(1000)]).lines[0]
    assert len(drawn.points) == 10
    assert drawn.path.count("L") == 999


def test_a_method_looks_the_same_everywhere() -> None:
    names = [f"method-{n}" for n in range(4 * COLOURS)]
    first = Plot("first", "", "", "", {name: [] for name in [*names[:3], "centre"]})
    second = Plot("second", "", "", "", {name: [] for name in reversed([*names, "bound"])})
    table = Table("table", "", [Column("a")], {"bound": [Figure(1.0)]}, apart=["bound"])
    found = styles([Section("a", "", "", {}, [table], [first, second])])
    assert len(set(found.values())) == len(names) + 2
    assert [found[name].colour for name in names[:3]] == ["--series-0", "--series-1", "--series-2"]
    assert {name for name, style in found.items() if style.colour == "--series-apart"} == {"centre", "bound"}
    assert all(found[name].dash != "none" for name in ("centre", "bound"))
