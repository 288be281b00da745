"""Results as a table in Markdown: a row per method, the mean over disjoint sets and how far sets differ."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from evaluation.journal import Key
from evaluation.measures.pointing import mean_over_classes

Records = Mapping[Key, Mapping[str, Any]]


def _mean(values: Tensor, _classes: Tensor) -> float:
    return float(values.mean())


def _median(values: Tensor, _classes: Tensor) -> float:
    return float(values.quantile(0.5))


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: of the value in records, one per picture.
        title: of the column.
        scale: what values are multiplied by.
        over_set: makes one value of those ``[N]`` of a set that are numbers, and their classes ``[N]``.
    """

    name: str
    title: str
    scale: float
    over_set: Callable[[Tensor, Tensor], float] = _mean


COLUMNS: Final = (
    Column("drop", "AD % ↓", 100),
    Column("gain", "AG % ↑", 100),
    Column("increase", "AI % ↑", 100),
    Column("insertion", "insertion % ↑", 100),
    Column("deletion", "deletion % ↓", 100),
    Column("pointing", "pointing % ↑", 100, mean_over_classes),
    Column("energy", "energy % ↑", 100),
    Column("seconds", "ms per map", 1000, _median),
)


def markdown(records: Records, methods: Sequence[str]) -> str:
    """The table; each cell is the mean over the sets, ± their standard deviation if there are several."""
    sets = sorted({number for number, _, _ in records})
    lines = [
        "| method | " + " | ".join(column.title for column in COLUMNS) + " |",
        "|---|" + "---:|" * len(COLUMNS),
    ]
    for method in methods:
        values = [_of_set(records, number, method) for number in sets]
        cells = [_cell([value[column.name] * column.scale for value in values]) for column in COLUMNS]
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _of_set(records: Records, number: int, method: str) -> dict[str, float]:
    batches = [record for (own, _, name), record in sorted(records.items()) if (own, name) == (number, method)]

    def joined(name: str) -> Tensor:
        values = [value for batch in batches for value in batch[name]]
        return torch.tensor([math.nan if value is None else value for value in values], dtype=torch.float64)

    classes = joined("classes")
    found = {}
    for column in COLUMNS:
        values = joined(column.name)
        known = ~values.isnan()
        found[column.name] = column.over_set(values[known], classes[known]) if known.any() else math.nan
    return found


def _cell(values: Sequence[float]) -> str:
    spread = torch.tensor(values, dtype=torch.float64)
    if len(values) == 1:
        return f"{spread.mean():.1f}"
    return f"{spread.mean():.1f} ± {spread.std():.1f}"
