"""How the rows of a table stand: which compete, and which of them are best."""

import math
from dataclasses import dataclass

from evaluation.controls import CONTROLS
from evaluation.report.section import Better, Column, Figure, Table


@dataclass(frozen=True)
class Standing:
    """The rows of a table.

    Attributes:
        competing: those that are compared, in their order.
        apart: controls and what the table sets apart, in their order.
        best: per column, the competing rows with the best value that is shown; none where nothing sets them off.
    """

    competing: tuple[str, ...]
    apart: tuple[str, ...]
    best: tuple[frozenset[str], ...]


def standing(table: Table) -> Standing:
    """Sorts the rows of a table into those that compete and those that do not."""
    competing = tuple(row for row in table.rows if row not in CONTROLS and row not in table.apart)
    apart = tuple(row for row in table.rows if row not in competing)
    best = (
        _best(column, {row: table.rows[row][place] for row in competing}) for place, column in enumerate(table.columns)
    )
    return Standing(competing, apart, tuple(best))


def _best(column: Column, figures: dict[str, Figure | None]) -> frozenset[str]:
    means = {row: figure.mean for row, figure in figures.items() if figure is not None and math.isfinite(figure.mean)}
    if column.better is Better.NEITHER or not means:
        return frozenset()
    value = (max if column.better is Better.HIGHER else min)(means.values())
    # What reads the same is equally good, and what all reach is no merit.
    best = frozenset(row for row, mean in means.items() if column.shown(mean) == column.shown(value))
    return best if len(best) < len(means) else frozenset()
