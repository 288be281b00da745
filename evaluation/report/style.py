"""How the lines of a method look, the same in every plot of a page, told apart by colour, dashes and marks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from evaluation.controls import CONTROLS
from evaluation.report.section import Section

COLOURS: Final = 7
"""The page's style sheet has as many: ``--series-0`` and on."""

# Paths around the origin, about 8 wide.
_MARKS: Final = (
    "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",  # circle
    "M-3.2 -3.2h6.4v6.4h-6.4z",  # square
    "M0 -4.6L4.6 0L0 4.6L-4.6 0z",  # diamond
    "M0 -4.2L4.2 3.4h-8.4z",  # triangle
    "M0 4.2L4.2 -3.4h-8.4z",  # triangle on its tip
    "M-4 -1.4h2.6v-2.6h2.8v2.6h2.6v2.8h-2.6v2.6h-2.8v-2.6h-2.6z",  # cross
)
_DASHES: Final = ("none", "7 3", "2 3", "9 3 2 3")


@dataclass(frozen=True)
class Style:
    """A look.

    Attributes:
        colour: name of a variable of the page's style sheet.
        dash: pattern of the line, as SVG's ``stroke-dasharray``.
        mark: of points, an SVG path around the origin.
    """

    colour: str
    dash: str
    mark: str


def styles(sections: Sequence[Section]) -> dict[str, Style]:
    """A style per method that some plot has, in the order they come; grey and dashed for what does not compete."""
    apart = set(CONTROLS).union(*(table.apart for section in sections for table in section.tables))
    found: dict[str, Style] = {}
    competing = 0
    for name in dict.fromkeys(name for section in sections for plot in section.plots for name in plot.lines):
        if name in apart:
            place = len(found) - competing
            found[name] = Style("--series-apart", _DASHES[1 + place % (len(_DASHES) - 1)], _MARKS[place % len(_MARKS)])
        else:
            dash = _DASHES[competing // COLOURS % len(_DASHES)]
            found[name] = Style(f"--series-{competing % COLOURS}", dash, _MARKS[competing % len(_MARKS)])
            competing += 1
    return found
