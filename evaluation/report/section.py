"""What an evaluation has to say: text, tables, plots and pictures, before any of it is a page or a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray


class Better(Enum):
    """Which values of a column are the good ones, as the sign beside its title."""

    HIGHER = "↑"
    LOWER = "↓"
    NEITHER = ""


@dataclass(frozen=True)
class Figure:
    """A measured number, in its column's unit.

    Attributes:
        mean: over the runs; not a number where nothing could be measured.
        spread: standard deviation over the runs; None of a single one.
    """

    mean: float
    spread: float | None = None

    @classmethod
    def over(cls, runs: Sequence[float]) -> "Figure":
        """The mean of some runs and how far they differ."""
        values = np.asarray(runs, dtype=np.float64)
        return cls(float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None)


@dataclass(frozen=True)
class Column:
    """A column of figures.

    Attributes:
        title: with the unit, such as "AD %".
        better: which end is the good one.
        digits: shown after the point.
    """

    title: str
    better: Better = Better.NEITHER
    digits: int = 1


@dataclass(frozen=True)
class Table:
    """Figures by method.

    Attributes:
        name: of its CSV file, kebab-case.
        caption: what is measured, on how many of what, over what values spread.
        columns: of figures.
        rows: by method or control, in the order they are shown; None where a figure does not apply.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Mapping[str, Sequence[Figure | None]]


@dataclass(frozen=True)
class Plot:
    """Lines over a common axis.

    Attributes:
        name: of its data file, kebab-case.
        caption: what is to be seen.
        across: title of the horizontal axis.
        up: title of the vertical axis.
        lines: by method, pairs of horizontal and vertical values.
    """

    name: str
    caption: str
    across: str
    up: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures side by side.

    Attributes:
        caption: what is to be seen.
        titles: of the columns.
        rows: by what each shows; pictures are RGB, uint8 ``[height, width, 3]``, one per column.
    """

    caption: str
    titles: Sequence[str]
    rows: Mapping[str, Sequence[NDArray[np.uint8]]]


@dataclass(frozen=True, eq=False)
class Section:
    """One evaluation.

    Attributes:
        name: kebab-case.
        title: of its chapter.
        text: what was done and what came of it, in a few sentences; paragraphs are parted by an empty line.
        settings: every choice that the figures depend on, by name.
        tables: the first is the main one.
        plots: if any.
        galleries: if any.
    """

    name: str
    title: str
    text: str
    settings: Mapping[str, str]
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    galleries: Sequence[Gallery] = ()
