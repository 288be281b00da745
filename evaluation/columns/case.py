"""A batch of pictures and one method's maps of them, with all that several measures need, made once."""

import time
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from evaluation.choices import Choices
from evaluation.measures.boxes import Boxes
from evaluation.measures.faithfulness import BASELINES, class_score
from evaluation.measures.localisation import BoxOverlaps, box_overlaps
from evaluation.methods import Contender
from evaluation.pictures.picture import IGNORED, Pictures
from evaluation.subject import Subject
from saliency.faithfulness import Score, mask_of


@dataclass(frozen=True, eq=False)
class Batch:
    """Pictures, and what a model says of them.

    Attributes:
        subject: the model.
        pictures: N of them.
        choices: of measures.
    """

    subject: Subject
    pictures: Pictures
    choices: Choices

    @cached_property
    def probabilities(self) -> Tensor:
        """Of the pictures as they are, ``[N, classes]``."""
        return self.subject.probabilities(self.pictures.images)

    @cached_property
    def classes(self) -> Tensor:
        """Which are explained, int64 ``[N]``."""
        return self.choices.protocol.chosen(self.pictures.labels, self.probabilities)

    @cached_property
    def before(self) -> Tensor:
        """The probabilities ``[N]`` of these classes."""
        return self.probabilities.gather(1, self.classes[:, None])[:, 0]

    @property
    def score(self) -> Score:
        """Of disturbed pictures, for these classes."""
        return class_score(self.subject.probabilities, self.classes)

    @cached_property
    def region(self) -> Tensor:
        """Where these classes are, bool ``[N, H, W]``; nowhere if that is not known, or they are absent."""
        return self.region_of(self.classes)

    def region_of(self, classes: Tensor) -> Tensor:
        """Where other classes ``[N]`` are."""
        masks = self.pictures.masks_of(classes)
        unknown = (self.pictures.truth == IGNORED).flatten(1).all(1)
        for row, boxes in enumerate(self.pictures.boxes_of(classes)):
            if self.choices.region == "box" or unknown[row]:
                masks[row] = _filled(boxes, masks[row])
        return masks

    @cached_property
    def baselines(self) -> dict[str, Tensor]:
        """What hides a pixel, by name; without the mean colour if the model's is not known."""
        mean = self.subject.mean
        return {
            name: make(self.pictures.images, torch.tensor(mean or (0.0, 0.0, 0.0)))
            for name, make in BASELINES.items()
            if mean or name != "mean"
        }


@dataclass(frozen=True, eq=False)
class Case:
    """One method's maps of a batch.

    Attributes:
        batch: what is explained.
        contender: by what.
    """

    batch: Batch
    contender: Contender

    @cached_property
    def timed(self) -> tuple[Tensor, float]:
        """Raw maps ``[N, h, w]`` of the explained classes, and how long one took, in seconds."""
        images, classes = self.batch.pictures.images, self.batch.classes
        started = time.perf_counter()
        maps = self.contender.maps(self.batch.subject, images, classes)
        return maps, (time.perf_counter() - started) / len(images)

    @cached_property
    def maps(self) -> Tensor:
        """The same, min-max normalised at the pictures' size, ``[N, H, W]``."""
        return mask_of(self.timed[0], self.batch.subject.size)

    @cached_property
    def masked(self) -> Tensor:
        """The pictures behind their maps, ``[N, 3, H, W]``."""
        hidden = self.batch.baselines[self.batch.choices.protocol.mask]
        return hidden.lerp(self.batch.pictures.images, self.maps[:, None])

    @cached_property
    def after(self) -> Tensor:
        """The probabilities ``[N]`` behind the maps."""
        return self.batch.score(self.masked, torch.arange(len(self.masked)))

    @cached_property
    def boxes(self) -> tuple[Tensor, BoxOverlaps]:
        """Rows of the pictures with a box of the explained class, and how boxes drawn from their maps fit."""
        boxes = self.batch.pictures.boxes_of(self.batch.classes)
        rows = [row for row, own in enumerate(boxes) if len(own)]
        return torch.tensor(rows, dtype=torch.long), box_overlaps(self.maps[rows], [boxes[row] for row in rows])

    def maps_of(self, rows: Tensor, classes: Tensor) -> Tensor:
        """Raw maps ``[R, h, w]`` of pictures by row, int64 ``[R]``, for a class each, a batch at a time."""
        size = len(self.batch.pictures.images)
        parts = zip(torch.split(rows, size), torch.split(classes, size), strict=True)
        images = self.batch.pictures.images
        return torch.cat([self.contender.maps(self.batch.subject, images[own], wanted) for own, wanted in parts])


def _filled(boxes: Boxes, like: Tensor) -> Tensor:
    mask = torch.zeros_like(like)
    for left, top, right, bottom in boxes.tolist():
        mask[top:bottom, left:right] = True
    return mask
