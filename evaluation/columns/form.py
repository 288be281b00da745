"""What a map is like in itself: how steady, how simple, how dear."""

import math
from typing import Final

import torch
from torch import Tensor

from evaluation.columns.case import Case
from evaluation.columns.measure import Measure, PerPicture, median
from evaluation.controls import CONTROLS
from evaluation.measures.complexity import entropy, mean_activation
from evaluation.measures.sensitivity import max_sensitivity
from evaluation.report.section import Better, Column


def _sensitivity(case: Case) -> Tensor:
    batch, choices = case.batch, case.batch.choices

    def explain(images: Tensor) -> Tensor:
        return case.contender.maps(batch.subject, images, batch.classes)

    return max_sensitivity(
        explain, batch.pictures.images, radius=choices.radius, samples=choices.samples, seed=choices.seed
    )


def _complexity(case: Case) -> Tensor:
    return mean_activation(case.maps)


def _entropy(case: Case) -> Tensor:
    return entropy(case.maps)


def _seconds(case: Case) -> Tensor:
    """A control takes no time worth naming."""
    control = case.contender.method in CONTROLS
    return torch.full((len(case.maps),), math.nan if control else case.timed[1])


FORM: Final[tuple[Measure, ...]] = (
    PerPicture("sensitivity", Column("max-sensitivity", Better.LOWER, 2), _sensitivity, scale=1.0),
    PerPicture("complexity", Column("complexity %", Better.LOWER), _complexity),
    PerPicture("entropy", Column("entropy, nats", Better.LOWER, 2), _entropy, scale=1.0),
    PerPicture("time", Column("ms per map", Better.LOWER), _seconds, scale=1000.0, over_set=median),
)
"""In the order of the table."""
