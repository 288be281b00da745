"""From the journal to tables: a row per method, the mean over disjoint sets and how far sets differ."""

import math
from collections.abc import Sequence

import torch

from evaluation.columns.catalogue import TABLES
from evaluation.columns.measure import Measure
from evaluation.journal import Journal
from evaluation.report.section import Figure, Table

_ABOUT = {
    "faithfulness": "Whether the score rests on what a map shows.",
    "localisation": "Whether a map lies on the object that it explains.",
    "form": "What maps are like in themselves.",
}


def tables(journal: Journal, methods: Sequence[str], measures: Sequence[Measure], sets: int, over: str) -> list[Table]:
    """The tables that have a column.

    Args:
        journal: of the results.
        methods: names of the rows.
        measures: columns.
        sets: how many of those in the journal to take.
        over: what figures are of, to go into the caption.
    """
    found = []
    for name, own in TABLES.items():
        columns = [measure for measure in own if measure in measures]
        if columns:
            rows = {
                method: [
                    _figure([_of_set(journal, number, method, column) for number in range(sets)]) for column in columns
                ]
                for method in methods
            }
            found.append(Table(name, f"{_ABOUT[name]} {over}", [measure.column for measure in columns], rows))
    return found


def _of_set(journal: Journal, number: int, method: str, measure: Measure) -> float:
    records = [
        record
        for ((own, _), name), record in sorted(journal.records.items(), key=lambda item: item[0])
        if (own, name) == (number, method) and measure.name in record.values
    ]
    if not records:
        return math.nan
    classes = torch.tensor([index for record in records for index in record.classes])
    return measure.figure([record.values[measure.name] for record in records], classes)


def _figure(values: Sequence[float]) -> Figure | None:
    known = [value for value in values if not math.isnan(value)]
    return Figure.over(known) if known else None
