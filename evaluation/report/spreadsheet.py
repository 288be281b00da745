"""Tables and plots as CSV, with all digits."""

import csv
import io
from collections.abc import Iterable, Sequence

from evaluation.report.section import Figure, Plot, Table

_Cell = str | float | None


def table_csv(table: Table) -> str:
    """A line per row, two columns per figure: mean and spread; empty where there is none, nan as such."""
    titles = [title for column in table.columns for title in (column.title, f"{column.title} spread")]
    return _text([table.by, *titles], (_line(row, figures) for row, figures in table.rows.items()))


def plot_csv(plot: Plot) -> str:
    """A line per point."""
    points = ((name, across, up) for name, line in plot.lines.items() for across, up in line)
    return _text(["method", plot.across, plot.up], points)


def _line(row: str, figures: Sequence[Figure | None]) -> Sequence[_Cell]:
    cells: list[_Cell] = [row]
    for figure in figures:
        cells += [None, None] if figure is None else [figure.mean, figure.spread]
    return cells


def _text(header: Sequence[str], rows: Iterable[Sequence[_Cell]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()
