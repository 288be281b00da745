"""Whether a map lies on the object that it explains."""

import math
from itertools import groupby
from typing import Any, Final

import torch
from torch import Tensor

from evaluation.columns.case import Case
from evaluation.columns.measure import Measure, OverSet, PerPicture
from evaluation.measures.localisation import localisation_errors, max_box_acc, max_box_acc_v2, pixel_histogram, pxap
from evaluation.measures.pointing import energy_inside, extended_pointing, mean_over_classes, pointing
from evaluation.measures.segmentation import confusion, mean_iou, seeds
from evaluation.pictures.picture import IGNORED
from evaluation.pictures.source import Truth
from evaluation.report.section import Better, Column
from saliency.faithfulness import mask_of

SEED_THRESHOLDS: Final = tuple(step / 20 for step in range(1, 20))
"""Of segmentation seeds; the best for the whole set counts."""


def _pointing(case: Case) -> Tensor:
    batch = case.batch
    hits = pointing(case.maps, batch.region, batch.choices.tolerance * min(batch.subject.size))
    return hits.float().masked_fill(~batch.region.flatten(1).any(1), math.nan)


def _energy(case: Case) -> Tensor:
    region = case.batch.region
    return energy_inside(case.maps, region).masked_fill(~region.flatten(1).any(1), math.nan)


def _error(case: Case) -> Tensor:
    """Where the class is not given but predicted, one that is not in the picture is an error."""
    batch = case.batch
    rows, _ = case.boxes
    errors = torch.full((len(case.maps),), math.nan)
    if len(rows):
        boxes = batch.pictures.boxes_of(batch.classes)
        wrong = localisation_errors(case.maps[rows], [boxes[row] for row in rows], threshold=batch.choices.threshold)
        errors[rows] = wrong.float()
    for row, (index, known) in enumerate(zip(batch.classes.tolist(), batch.pictures.boxes, strict=True)):
        if known and index not in known:
            errors[row] = 1.0
    return errors


def _fitting(case: Case) -> Tensor:
    return case.boxes[1].counts


def _values_on_and_off(case: Case) -> Tensor:
    """Of pictures in which the class is, without the pixels of which nothing is known."""
    masks = case.batch.pictures.masks_of(case.batch.classes)
    known = (case.batch.pictures.truth != IGNORED) & masks.flatten(1).any(1)[:, None, None]
    return pixel_histogram(case.maps[known], masks[known])


def _seeded(case: Case) -> Tensor:
    """Confusion at each threshold, ``[thresholds, classes + 1, classes + 1]``; each class that is there has a map."""
    batch = case.batch
    count = len(batch.subject.labels)
    known = batch.pictures.truth != IGNORED
    pairs = [(row, index) for row, own in enumerate(batch.pictures.boxes) if known[row].any() for index in own]
    total = torch.zeros(len(SEED_THRESHOLDS), count + 1, count + 1, dtype=torch.int64)
    if not pairs:
        return total
    rows, classes = torch.tensor(pairs).T
    maps = mask_of(case.maps_of(rows, classes), batch.subject.size)
    for row, places in groupby(range(len(pairs)), key=lambda place: pairs[place][0]):
        own = list(places)
        truth = batch.pictures.truth[row][known[row]]
        for step, threshold in enumerate(SEED_THRESHOLDS):
            labels = seeds(maps[own], classes[own].tolist(), threshold)
            total[step] += confusion(labels[known[row]], truth, count)
    return total


def _best_mean_iou(counts: Tensor) -> float:
    if not counts.any():
        raise ValueError("no pixel is known")
    return max(mean_iou(own) for own in counts)


class Extended:
    """The extended pointing game: each picture's top classes, of which absent ones are to be rejected.

    The threshold is in the unit of raw maps, which differs by method, so the one that is best for the set counts. To
    reject everything scores the share of absent classes.
    """

    name = "extended"
    column = Column("extended pointing %", Better.HIGHER)
    needs = Truth.BOXES

    def record(self, case: Case) -> Any:
        """For each picture and class: the peak of its raw map, whether it hits, and whether the class is there."""
        batch = case.batch
        top = batch.probabilities.topk(min(batch.choices.top, batch.probabilities.shape[1])).indices
        everything = torch.arange(len(top))
        asked: list[tuple[float, bool, bool]] = []
        for classes in top.T:
            raw = case.maps_of(everything, classes)
            region = batch.region_of(classes)
            tolerance = batch.choices.tolerance * min(batch.subject.size)
            hits = pointing(mask_of(raw, batch.subject.size), region, tolerance)
            present = [index in own for index, own in zip(classes.tolist(), batch.pictures.boxes, strict=True)]
            asked += zip(raw.amax((1, 2)).tolist(), hits.tolist(), present, strict=True)
        return asked

    def figure(self, records: Any, classes: Tensor) -> float:
        """The share of maps that are right, at the best of a hundred thresholds."""
        peaks, hits, present = zip(*(one for record in records for one in record), strict=True)
        raw = torch.tensor(peaks, dtype=torch.float64)
        flags = torch.tensor(hits), torch.tensor(present)
        thresholds = raw.sort().values[torch.linspace(0, len(raw) - 1, 101).long()]
        shares = [extended_pointing(raw, *flags, float(threshold)).double().mean() for threshold in thresholds]
        return 100.0 * float(max(shares))


FOUND: Final[tuple[Measure, ...]] = (
    PerPicture("pointing", Column("pointing %", Better.HIGHER), _pointing, Truth.BOXES, over_set=mean_over_classes),
    Extended(),
    PerPicture("energy", Column("energy %", Better.HIGHER), _energy, Truth.BOXES),
    OverSet("max-box-acc", Column("MaxBoxAcc %", Better.HIGHER), _fitting, max_box_acc, Truth.BOXES),
    OverSet("max-box-acc-v2", Column("MaxBoxAccV2 %", Better.HIGHER), _fitting, max_box_acc_v2, Truth.BOXES),
    PerPicture("localisation", Column("localisation error %", Better.LOWER), _error, Truth.BOXES),
    OverSet("pxap", Column("PxAP %", Better.HIGHER), _values_on_and_off, pxap, Truth.MASKS),
    OverSet("seeds", Column("seed mIoU %", Better.HIGHER), _seeded, _best_mean_iou, Truth.MASKS),
)
"""In the order of the table."""
