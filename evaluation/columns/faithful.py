"""Whether the model's score rests on what a map shows."""

from typing import Final

from torch import Tensor

from evaluation.columns.case import Case
from evaluation.columns.measure import Measure, PerPicture
from evaluation.measures import adcc as published
from evaluation.measures.road import road
from evaluation.report.section import Better, Column
from saliency.faithfulness import area, curve, drop, gain, mask_of


def _drop(case: Case) -> Tensor:
    return drop(case.batch.before, case.after)


def _gain(case: Case) -> Tensor:
    return gain(case.batch.before, case.after)


def _increase(case: Case) -> Tensor:
    return (case.after > case.batch.before).float()


def _insertion(case: Case) -> Tensor:
    protocol, batch = case.batch.choices.protocol, case.batch
    start = batch.baselines[protocol.insertion]
    return area(curve(batch.score, case.maps, start, batch.pictures.images, protocol.steps))


def _deletion(case: Case) -> Tensor:
    protocol, batch = case.batch.choices.protocol, case.batch
    end = batch.baselines[protocol.deletion]
    return area(curve(batch.score, case.maps, batch.pictures.images, end, protocol.steps))


def _road(case: Case) -> Tensor:
    batch = case.batch
    return road(batch.score, batch.pictures.images, case.maps, seed=batch.choices.seed).combined


def _adcc(case: Case) -> Tensor:
    again = case.contender.maps(case.batch.subject, case.masked, case.batch.classes)
    return published.adcc(case.maps, mask_of(again, case.batch.subject.size), _drop(case))


FAITHFUL: Final[tuple[Measure, ...]] = (
    PerPicture("drop", Column("AD %", Better.LOWER), _drop),
    PerPicture("gain", Column("AG %", Better.HIGHER), _gain),
    PerPicture("increase", Column("AI %", Better.HIGHER), _increase),
    PerPicture("insertion", Column("insertion %", Better.HIGHER), _insertion),
    PerPicture("deletion", Column("deletion %", Better.LOWER), _deletion),
    PerPicture("road", Column("ROAD %", Better.HIGHER), _road),
    PerPicture("adcc", Column("ADCC %", Better.HIGHER), _adcc),
)
"""In the order of the table."""
