"""All columns, by the tables that they stand in."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from evaluation.columns.faithful import FAITHFUL
from evaluation.columns.form import FORM
from evaluation.columns.found import FOUND
from evaluation.columns.measure import Measure
from evaluation.pictures.source import Truth

TABLES: Final[Mapping[str, Sequence[Measure]]] = MappingProxyType(
    {"faithfulness": FAITHFUL, "localisation": FOUND, "form": FORM}
)
"""By name of the table."""
MEASURES: Final[Mapping[str, Measure]] = MappingProxyType(
    {measure.name: measure for measures in TABLES.values() for measure in measures}
)
"""By name."""
DEFAULT: Final = (
    *("drop", "gain", "increase", "insertion", "deletion"),
    *("pointing", "energy", "max-box-acc", "localisation", "complexity", "time"),
)
"""Those that take no maps beside the first, nor much time."""
ALL: Final = "all"
"""Asks for all that the pictures allow."""


def chosen(names: Sequence[str], known: Collection[Truth]) -> tuple[Measure, ...]:
    """The measures to take.

    Args:
        names: that are asked for; none: ``DEFAULT``. Those of ``DEFAULT`` and ``ALL`` that the pictures do not allow
            are left out.
        known: what is known of the pictures.

    Raises:
        ValueError: a measure that was asked for by its name is not known, or the pictures do not allow it.
    """
    unknown = [name for name in names if name not in MEASURES and name != ALL]
    if unknown:
        raise ValueError(f"measures: {unknown[0]!r} is not one of {', '.join(MEASURES)}, {ALL}")
    wanted = MEASURES if ALL in names else names or DEFAULT
    measures = [MEASURES[name] for name in MEASURES if name in wanted]
    fitting = tuple(measure for measure in measures if measure.needs is None or measure.needs in known)
    for measure in measures:
        if measure.name in names and measure not in fitting:
            raise ValueError(f"measures: {measure.name} needs what is not known of these pictures: {measure.needs}")
    return fitting
