"""Dissecting a network: which concept each unit of its layers agrees with most, over many scenes."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from evaluation.dissection.concepts import CONCEPTS, Concept, concept_masks
from evaluation.dissection.overlap import Overlap, Thresholds, on
from model_store.scenes.dataset import KINDS
from model_store.scenes.drawing import draw

SHARE: Final = 0.01
"""Of a unit's cells, those in which it is on: that of Bau et al., "Understanding the role of individual units in a deep
neural network" (PNAS 2020). The 0.005 of the first paper is a single cell of a map of 14 x 14, less than objects take;
from 0.04 on, units that have nothing to do with the picture reach the bound too."""

BOUND: Final = 0.04
"""Intersection over union from which on a unit is named; that of the first paper."""

_BATCH = 16

Activations = Callable[[Tensor], Iterator[tuple[str, Tensor]]]
"""What layers make of images ``[B, 3, H, W]`` in [0, 1]: their names with ``[B, C, h, w]``."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """How well the units of a layer agree with concepts.

    Attributes:
        iou: float64 ``[units, concepts]``.
        shuffled: the same if activations are compared with the concepts of another picture of the batch: chance.
    """

    iou: Tensor
    shuffled: Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """Some pictures.

    Attributes:
        images: uint8 ``[B, 3, H, W]``.
        masks: where concepts are, bool ``[B, concepts, H / 2, W / 2]``. Units and concepts are compared at half the
            resolution, as its authors do.
    """

    images: Tensor
    masks: Tensor


def draw_batches(seeds: Sequence[int], size: tuple[int, int]) -> Iterator[Batch]:
    """Draws scenes, whose kinds take turns over the seeds; size is height and width in pixels."""
    height, width = size
    samplers = list(KINDS.values())
    for places in np.array_split(np.arange(len(seeds)), math.ceil(len(seeds) / _BATCH)):  # none has a single one
        scenes = [samplers[place % len(samplers)](seeds[place]) for place in places.tolist()]
        images = np.stack([draw(scene, width, height) for scene in scenes])
        masks = np.stack([concept_masks(scene, height // 2, width // 2) for scene in scenes])
        yield Batch(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(masks))


def dissect(activations: Activations, batches: Sequence[Batch], share: float = SHARE) -> Mapping[str, Agreement]:
    """Compares the units of layers with all concepts; goes over the batches twice.

    Args:
        activations: of the network.
        batches: what to look at.
        share: of cells in which a unit is on.

    Returns:
        By layer.
    """
    count = sum(len(batch.images) for batch in batches)
    thresholds: dict[str, Thresholds] = {}
    for batch in batches:
        for layer, maps in activations(batch.images.float() / 255):
            cells = count * maps.shape[2] * maps.shape[3]
            thresholds.setdefault(layer, Thresholds(cells, share)).add(maps)
    counts: dict[str, tuple[Overlap, Overlap]] = {}
    for batch in batches:
        for layer, maps in activations(batch.images.float() / 255):
            empty = (Overlap(maps.shape[1], len(CONCEPTS)), Overlap(maps.shape[1], len(CONCEPTS)))
            own, shuffled = counts.setdefault(layer, empty)
            active = on(maps, thresholds[layer].values, batch.masks.shape[2:])
            own.add(active, batch.masks)
            shuffled.add(active, batch.masks.roll(1, 0))
    return {layer: Agreement(own.iou(), shuffled.iou()) for layer, (own, shuffled) in counts.items()}


def names(iou: Tensor, bound: float = BOUND) -> dict[int, tuple[Concept, float]]:
    """The concept that a unit agrees with most, and its IoU, for those that reach the bound.

    Args:
        iou: ``[units, concepts]``.
        bound: of IoU.
    """
    best, places = iou.max(1)
    found = zip(best.tolist(), places.tolist(), strict=True)
    return {unit: (CONCEPTS[place], value) for unit, (value, place) in enumerate(found) if value >= bound}
