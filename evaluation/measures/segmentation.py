"""Segmentation seeds: maps of an image's classes as a first labelling of its pixels."""

from collections.abc import Sequence

import torch
from torch import Tensor

BACKGROUND = -1
"""Label of pixels that belong to no class."""


def seeds(maps: Tensor, classes: Sequence[int], threshold: float) -> Tensor:
    """Labels each pixel with the class whose map is largest there, or as background if none reaches the threshold.

    As is the custom since Ahn and Kwak, "Learning pixel-level semantic affinity" (CVPR 2018): the image's classes are
    known, maps are normalised, and one threshold for all images stands for the background.

    Args:
        maps: in [0, 1], ``[K, H, W]``.
        classes: of the K maps.
        threshold: in [0, 1].

    Returns:
        int64 ``[H, W]``.
    """
    strongest, which = maps.max(0)
    labels = torch.tensor(classes, device=maps.device)[which]
    return labels.where(strongest >= threshold, BACKGROUND)


def confusion(found: Tensor, truth: Tensor, classes: int) -> Tensor:
    """Counts of pixels, int64 ``[classes + 1, classes + 1]`` by true and found label, background first.

    Args:
        found: labels, int64 of any shape.
        truth: of the same shape.
        classes: how many there are.
    """
    pairs = (truth - BACKGROUND) * (classes + 1) + found - BACKGROUND
    return torch.bincount(pairs.flatten(), minlength=(classes + 1) ** 2).view(classes + 1, classes + 1)


def mean_iou(counts: Tensor) -> float:
    """The mIoU in [0, 1]: intersection over union of all pixels of a label, averaged over labels and background.

    Args:
        counts: the sum of what :func:`confusion` gives over a set. Labels that are neither there nor found do not
            count.
    """
    shared = counts.diag().double()
    union = counts.sum(0) + counts.sum(1) - shared
    return float((shared / union)[union > 0].mean())
