"""What a column is: how a batch is measured, how that is written down, and the figure that it makes of a set."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from evaluation.columns.case import Case
from evaluation.pictures.source import Truth
from evaluation.report.section import Column


class Measure(Protocol):
    """A column.

    What it writes down are plain JSON values, so that a set may be measured a batch at a time, and at different times.
    """

    @property
    def name(self) -> str:
        """By which it is asked for."""

    @property
    def column(self) -> Column:
        """Its title."""

    @property
    def needs(self) -> Truth | None:
        """What must be known of pictures."""

    def record(self, case: Case) -> Any:
        """Measures a batch."""

    def figure(self, records: Sequence[Any], classes: Tensor) -> float:
        """The figure of a set.

        Args:
            records: of its batches, at least one.
            classes: that were explained in all of them, int64 ``[N]``.

        Returns:
            It in the column's unit; not a number where nothing could be measured.
        """


def mean(values: Tensor, _classes: Tensor) -> float:
    """The mean over pictures."""
    return float(values.mean())


def median(values: Tensor, _classes: Tensor) -> float:
    """The median over pictures."""
    return float(values.quantile(0.5))


@dataclass(frozen=True)
class PerPicture:
    """A value per picture, float or bool ``[N]``; not a number where it does not apply.

    Attributes:
        name: see :class:`Measure`.
        column: likewise.
        values: measures a batch.
        needs: see :class:`Measure`.
        scale: from values to the column's unit.
        over_set: makes one value of those that are numbers, float64 ``[N]``, and their classes.
    """

    name: str
    column: Column
    values: Callable[[Case], Tensor]
    needs: Truth | None = None
    scale: float = 100.0
    over_set: Callable[[Tensor, Tensor], float] = mean

    def record(self, case: Case) -> Any:
        """A list, with null for what is not a number."""
        return [None if math.isnan(value) else value for value in self.values(case).tolist()]

    def figure(self, records: Sequence[Any], classes: Tensor) -> float:
        """Of the values that are numbers."""
        joined = [math.nan if value is None else value for record in records for value in record]
        values = torch.tensor(joined, dtype=torch.float64)
        known = ~values.isnan()
        return self.scale * self.over_set(values[known], classes[known]) if known.any() else math.nan


@dataclass(frozen=True)
class OverSet:
    """Counts that are added up over a whole set before anything is made of them.

    Attributes:
        name: see :class:`Measure`.
        column: likewise, in percent.
        counts: of a batch, int64 of a shape that is the same for all batches.
        share: what the sum says, in [0, 1]; raises ``ValueError`` if it says nothing.
        needs: see :class:`Measure`.
    """

    name: str
    column: Column
    counts: Callable[[Case], Tensor]
    share: Callable[[Tensor], float]
    needs: Truth | None = None

    def record(self, case: Case) -> Any:
        """The counts that are not 0, and where they stand."""
        counts = self.counts(case)
        flat = counts.flatten()
        places = flat.nonzero()[:, 0]
        return {"shape": list(counts.shape), "places": places.tolist(), "counts": flat[places].tolist()}

    def figure(self, records: Sequence[Any], classes: Tensor) -> float:
        """Of the sum."""
        shape = records[0]["shape"]
        total = torch.zeros(math.prod(shape), dtype=torch.int64)
        for record in records:
            total[record["places"]] += torch.tensor(record["counts"], dtype=torch.int64)
        try:
            return 100.0 * self.share(total.view(shape))
        except ValueError:
            return math.nan
