"""Boxes and regions out of maps: how well they fit the object.

Choe et al., "Evaluating weakly supervised object localization methods right" (CVPR 2020), and the extended version
"Evaluation for weakly supervised object localization" (2020) for MaxBoxAccV2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluation.measures.boxes import Boxes, component_boxes, overlaps

LEVELS: Final = 255
"""Thresholds of a map as the authors' code has them: it makes maps uint8, and so has no more than these."""
OVERLAPS: Final = (0.3, 0.5, 0.7)
"""Intersections over union that MaxBoxAccV2 asks for; MaxBoxAcc asks for the second."""
BINS: Final = 1000
"""Of the values of maps, for PxAP."""


@dataclass(frozen=True, eq=False)
class BoxOverlaps:
    """How well boxes drawn from maps at each threshold fit, float64 ``[N, LEVELS]`` intersections over union.

    Attributes:
        largest: of the box of the largest component of what exceeds the threshold.
        best: of the best box of any component.
    """

    largest: NDArray[np.float64]
    best: NDArray[np.float64]

    @property
    def counts(self) -> Tensor:
        """Images whose box fits at each threshold, int64 ``[1 + len(OVERLAPS) + 1, LEVELS]``, to be added up.

        First the box of the largest component, then that of any at each of ``OVERLAPS``; last, all images.
        """
        fits = [self.largest >= OVERLAPS[1], *(self.best >= overlap for overlap in OVERLAPS)]
        return torch.from_numpy(np.stack([*(fit.sum(0) for fit in fits), np.full(LEVELS, len(self.best))]))


def box_overlaps(maps: Tensor, boxes: Sequence[Boxes]) -> BoxOverlaps:
    """Draws boxes from maps at every threshold and holds them against the true ones.

    The largest component is the one of most pixels; the authors' code compares the areas of outlines, and counts a
    box's last row and column twice.

    Args:
        maps: ``[N, H, W]`` in [0, 1].
        boxes: the true ones of each image, at least one each.
    """
    found = BoxOverlaps(np.zeros((len(maps), LEVELS)), np.zeros((len(maps), LEVELS)))
    for row, (image, true) in enumerate(zip((maps * LEVELS).byte().cpu().numpy(), boxes, strict=True)):
        for below, value in pairwise(np.unique(image)):  # all thresholds between two values draw the same boxes
            fits = overlaps(component_boxes(image >= value), true).max(1)
            found.largest[row, below:value] = fits[0]
            found.best[row, below:value] = fits.max()
    return found


def max_box_acc(counts: Tensor) -> float:
    """MaxBoxAcc: the share of images whose box fits, at the threshold that is best for the whole set; in [0, 1].

    Args:
        counts: the sum of :attr:`BoxOverlaps.counts`.

    Raises:
        ValueError: no image has a box.
    """
    return float(_best_shares(counts)[0])


def max_box_acc_v2(counts: Tensor) -> float:
    """MaxBoxAccV2: the same for any component's box, averaged over ``OVERLAPS``.

    Args:
        counts: the sum of :attr:`BoxOverlaps.counts`.

    Raises:
        ValueError: no image has a box.
    """
    return float(_best_shares(counts)[1:].mean())


def _best_shares(counts: Tensor) -> Tensor:
    if not counts[-1, 0]:
        raise ValueError("no image has a box, so there is nothing to fit; leave out images without the class")
    return counts[:-1].amax(1).double() / counts[-1, 0]


def localisation_errors(
    maps: Tensor, boxes: Sequence[Boxes], correct: Tensor | None = None, *, threshold: float = 0.15
) -> Tensor:
    """Whether the box around the largest component at or above a share of the map's maximum misses the object.

    Selvaraju et al., "Grad-CAM" (ICCV 2017), section 4.1: 15 % of the maximum, and an overlap of at least a half.

    Args:
        maps: ``[N, H, W]`` in [0, 1]; a flat one misses.
        boxes: the true ones of each image, at least one each.
        correct: whether the explained class is the right one, bool ``[N]``; if it is not, it is an error. None: the
            class is given.
        threshold: share of the maximum.

    Returns:
        bool ``[N]``.
    """
    misses = []
    for image, true in zip(maps.cpu().numpy(), boxes, strict=True):
        drawn = component_boxes((image >= threshold * image.max()) & (image > 0))[:1]
        misses.append(not (overlaps(drawn, true) >= 0.5).any())
    wrong = torch.tensor(misses)
    return wrong if correct is None else wrong | ~correct.cpu()


def pixel_histogram(maps: Tensor, masks: Tensor) -> Tensor:
    """Counts of map values on the object and beside it: int64 ``[2, BINS + 1]``, to be added up over batches.

    Args:
        maps: ``[N, H, W]`` in [0, 1].
        masks: bool ``[N, H, W]``.
    """
    bins = (maps.double() * BINS).floor().long().clamp(0, BINS)
    return torch.stack([torch.bincount(bins[where], minlength=BINS + 1) for where in (masks, ~masks)])


def pxap(histogram: Tensor) -> float:
    """PxAP: the area under the precision and recall of pixels, those of all images pooled; in [0, 1].

    Args:
        histogram: the sum of what :func:`pixel_histogram` gives.

    Raises:
        ValueError: no pixel is on an object.
    """
    inside, outside = histogram.double().flip(1).cumsum(1)
    if not inside[-1]:
        raise ValueError("no mask has a pixel, so there is no recall; leave out images without the class")
    precision = inside / (inside + outside).clamp_min(1.0)
    recall = torch.cat([inside.new_zeros(1), inside / inside[-1]])
    return float((precision * recall.diff()).sum())
