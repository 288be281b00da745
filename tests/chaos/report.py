"""The table that the suite prints."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        act: where it was seen.
        figure: what it is.
        value: as it was seen.
        promise: what was promised; empty: nothing was.
        kept: whether that holds.
        timed: whether it depends on the speed of the machine, and is no reason to fail a test.
    """

    act: str
    figure: str
    value: str
    promise: str = ""
    kept: bool = True
    timed: bool = False


class Report:
    """Figures, in the order in which they were seen."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(
        self, act: str, figure: str, value: object, promise: str = "", kept: bool = True, *, timed: bool = False
    ) -> None:
        """Notes a figure and shows it at once."""
        row = Row(act, figure, f"{value:.3g}" if isinstance(value, float) else str(value), promise, kept, timed)
        self.rows.append(row)
        print(_line(row), flush=True)

    def broken(self, *, timed: bool) -> list[str]:
        """The promises that were not kept; with or without those about time."""
        return [_line(row) for row in self.rows if not row.kept and (timed or not row.timed)]


def _line(row: Row) -> str:
    mark = "" if not row.promise else "kept" if row.kept else "BROKEN"
    return f"{row.act:<12} {row.figure:<58} {row.value:>12}  {row.promise:<22} {mark}".rstrip()
