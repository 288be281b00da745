"""A plot as marks on a plane: axes with round numbers, lines, points."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from evaluation.report.section import Plot
from evaluation.report.style import Style

WIDTH: Final = 560
HEIGHT: Final = 340
LEFT, RIGHT, TOP, BOTTOM = 58, WIDTH - 16, 34, HEIGHT - 56
"""Edges of the plane, in units of the drawing, whose origin is at the top left."""

_TICKS: Final = 6
"""Most intervals between ticks."""
_POINTS: Final = 10
"""Most marks on a line; more would hide it."""


@dataclass(frozen=True)
class Tick:
    """A round number on an axis, at a place of the drawing."""

    at: float
    text: str


@dataclass(frozen=True)
class Point:
    """A mark on a line, and the values that it stands for."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Line:
    """The line of a method; ``path`` is one of SVG."""

    name: str
    style: Style
    path: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Drawing:
    """What a plot looks like."""

    plot: Plot
    across: Sequence[Tick]
    up: Sequence[Tick]
    lines: Sequence[Line]


class _Axis:
    """From values to places: an axis that ends on round numbers."""

    def __init__(self, values: Iterable[float], start: float, end: float) -> None:
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        low, high = min(finite), max(finite)
        if low == high:
            low, high = low - 0.5, high + 0.5
        self._step = _round_up((high - low) / _TICKS)
        # The margin keeps ends that are round but for their last bits.
        first, last = math.floor(low / self._step + 1e-9), math.ceil(high / self._step - 1e-9)
        self._low, self._high = first * self._step, last * self._step
        self._start, self._end = start, end
        self.ticks = [Tick(self.place(n * self._step), self._text(n * self._step)) for n in range(first, last + 1)]

    def place(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return round(self._start + share * (self._end - self._start), 1)

    def _text(self, value: float) -> str:
        digits = max(0, -math.floor(math.log10(self._step) + 1e-9))
        text = f"{value:z.{digits}f}" if digits <= 4 and abs(value) < 1e6 else f"{value:.3g}"
        return text.replace("-", "\N{MINUS SIGN}")


def draw(plot: Plot, styles: Mapping[str, Style]) -> Drawing:
    """Lays a plot out; the same plot and styles give the same drawing."""
    points = [point for line in plot.lines.values() for point in line if all(map(math.isfinite, point))]
    across = _Axis((x for x, _ in points), LEFT, RIGHT)
    up = _Axis((y for _, y in points), BOTTOM, TOP)
    lines = []
    for name, values in plot.lines.items():
        places = [(across.place(x), up.place(y)) if math.isfinite(x + y) else None for x, y in values]
        marks = [
            Point(*place, f"{name}: {x:.4g}, {y:.4g}") for place, (x, y) in zip(places, values, strict=True) if place
        ]
        lines.append(Line(name, styles[name], _path(places), marks[:: math.ceil(len(marks) / _POINTS) or 1]))
    return Drawing(plot, across.ticks, up.ticks, lines)


def _path(places: Iterable[tuple[float, float] | None]) -> str:
    steps, pen = [], "M"
    for place in places:
        if place is not None:
            steps.append(f"{pen}{place[0]:g} {place[1]:g}")
        pen = "M" if place is None else "L"
    return "".join(steps)


def _round_up(step: float) -> float:
    """The next number that is 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return power * next(round_ for round_ in (1, 2, 5, 10) if round_ * power >= step * (1 - 1e-9))
