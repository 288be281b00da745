"""What an evaluation has to say: text, tables, plots and pictures, before any of it is a page or a file."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from camserve.colormaps import COLORMAPS

Picture = NDArray[np.uint8]
"""RGB, uint8 ``[height, width, 3]``."""

_KEBAB: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


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

    def shown(self, value: float) -> str:
        """A value of the column as it is read: rounded, with a real minus sign, "n/a" where it is not a number."""
        return f"{value:z.{self.digits}f}".replace("-", "\N{MINUS SIGN}") if math.isfinite(value) else "n/a"


@dataclass(frozen=True)
class Table:
    """Figures by method.

    Attributes:
        name: of its CSV file, kebab-case.
        caption: what is measured, on how many of what, over what values spread.
        columns: of figures.
        rows: by method or control, in the order they are shown; None where a figure does not apply.
        apart: rows that do not compete, such as bounds; the controls never do.
        by: what a row is, the title of the first column.

    Raises:
        ValueError: the name is not kebab-case, a row has not one figure per column, or a row apart is not there.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Mapping[str, Sequence[Figure | None]]
    apart: Collection[str] = ()
    by: str = "method"

    def __post_init__(self) -> None:
        _check_name("table", self.name)
        for row, figures in self.rows.items():
            if len(figures) != len(self.columns):
                raise ValueError(
                    f"table {self.name}: row '{row}' has {len(figures)} figures for {len(self.columns)} columns;"
                    " put None where one does not apply"
                )
        strangers = [row for row in self.apart if row not in self.rows]
        if strangers:
            raise ValueError(f"table {self.name}: apart names '{strangers[0]}', which is not a row")


@dataclass(frozen=True)
class Plot:
    """Lines over a common axis.

    Attributes:
        name: of its data file, kebab-case.
        caption: what is to be seen.
        across: title of the horizontal axis.
        up: title of the vertical axis.
        lines: by method, pairs of horizontal and vertical values; a line breaks where one is not a number.

    Raises:
        ValueError: the name is not kebab-case.
    """

    name: str
    caption: str
    across: str
    up: str
    lines: Mapping[str, Sequence[tuple[float, float]]]

    def __post_init__(self) -> None:
        _check_name("plot", self.name)


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures side by side.

    Attributes:
        caption: what is to be seen.
        titles: of the columns.
        rows: by what each shows; one picture per column.
        colormap: of the maps in the pictures, for the bar that explains it; a key of `camserve.colormaps.COLORMAPS`.

    Raises:
        ValueError: a row has not one picture per column, an array is no picture, or there is no such colormap.
    """

    caption: str
    titles: Sequence[str]
    rows: Mapping[str, Sequence[Picture]]
    colormap: str | None = None

    def __post_init__(self) -> None:
        if self.colormap is not None and self.colormap not in COLORMAPS:
            raise ValueError(f"gallery: colormap '{self.colormap}' is not one of {', '.join(COLORMAPS)}")
        for row, pictures in self.rows.items():
            if len(pictures) != len(self.titles):
                raise ValueError(f"gallery: row '{row}' has {len(pictures)} pictures for {len(self.titles)} titles")
            for picture in pictures:
                if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
                    raise ValueError(
                        f"gallery: row '{row}': expected uint8 [height, width, 3],"
                        f" got {picture.dtype} {list(picture.shape)}"
                    )


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

    Raises:
        ValueError: the name is not kebab-case, or two tables or plots have the same one.
    """

    name: str
    title: str
    text: str
    settings: Mapping[str, str]
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    galleries: Sequence[Gallery] = ()

    def __post_init__(self) -> None:
        _check_name("section", self.name)
        check_unique(
            f"section {self.name}: tables and plots",
            [*(table.name for table in self.tables), *(plot.name for plot in self.plots)],
        )


def check_unique(what: str, names: Sequence[str]) -> None:
    """Names are of files, so no two may be the same.

    Raises:
        ValueError: two are.
    """
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{what}: the name '{twice[0]}' is there twice; give each its own")


def _check_name(what: str, name: str) -> None:
    if not _KEBAB.fullmatch(name):
        raise ValueError(f"{what}: the name '{name}' is not kebab-case, such as 'by-depth'")
