"""Whether a map points at the object: the pointing game, its extended version, and the energy-based one."""

import torch
from torch import Tensor

TOLERANCE = 0.03
"""Share of the picture's side by which the point may lie beside the object: 15 pixels of the customary 500."""


def points(maps: Tensor) -> Tensor:
    """Row and column of each map's maximum, int64 ``[N, 2]``, the first in reading order; ``-1`` for a flat map."""
    pixels = maps.flatten(1)
    place = pixels.argmax(1)
    found = torch.stack([place // maps.shape[2], place % maps.shape[2]], 1)
    flat = pixels.amax(1) == pixels.amin(1)
    return found.masked_fill(flat[:, None], -1)


def pointing(maps: Tensor, masks: Tensor, tolerance: float) -> Tensor:
    """Whether each map's maximum lies on its object, or less than ``tolerance`` pixels away from it.

    Zhang et al., "Top-down neural attention by excitation backprop" (ECCV 2016), section 5.1, with the distance as in
    TorchRay. A flat map points nowhere. Their accuracy is the mean over classes of the mean over a class's images, see
    :func:`mean_over_classes`.

    Args:
        maps: ``[N, H, W]``.
        masks: of the explained class, bool ``[N, H, W]``; an empty one cannot be hit.
        tolerance: in pixels; 0 asks for a pixel of the object itself.

    Returns:
        bool ``[N]``.
    """
    point = points(maps)
    rows, columns = (torch.arange(side, device=maps.device) for side in maps.shape[1:])
    across = (rows - point[:, :1]).square()[:, :, None] + (columns - point[:, 1:]).square()[:, None, :]
    near = (across < tolerance**2) | (across == 0)
    return (masks & near).flatten(1).any(1) & (point[:, 0] >= 0)


def extended_pointing(peaks: Tensor, hits: Tensor, present: Tensor, threshold: float) -> Tensor:
    """The pointing game with recall: a map may also say that its class is not there, by being weak.

    Selvaraju et al., "Grad-CAM" (IJCV 2020), section 4.3: for each of an image's top five classes, a map whose maximum
    is below the threshold rejects the class, which is right if the class is absent; a map that does not must hit.

    Args:
        peaks: largest values of the raw maps, ``[N]``; normalised ones all have the same.
        hits: what :func:`pointing` finds, bool ``[N]``.
        present: whether the class is in the picture, bool ``[N]``.
        threshold: in the raw maps' unit.

    Returns:
        bool ``[N]``, whether the map is right.
    """
    claimed = peaks >= threshold
    return (claimed & hits).where(present, ~claimed)


def energy_inside(maps: Tensor, masks: Tensor) -> Tensor:
    """The share of each map's mass on its object: the energy-based pointing game of Wang et al., Score-CAM (2020).

    Args:
        maps: in [0, 1], ``[N, H, W]``.
        masks: of the explained class, bool ``[N, H, W]``; filled boxes in the paper.

    Returns:
        ``[N]`` in [0, 1]; 0 for a map of zeros.
    """
    total = maps.sum((-2, -1))
    return (maps * masks).sum((-2, -1)) / total.where(total > 0, 1.0)


def mean_over_classes(values: Tensor, classes: Tensor) -> float:
    """The mean over classes of the mean of each class's values; classes without any do not count.

    Args:
        values: ``[N]``, at least one.
        classes: int64 ``[N]``.
    """
    means = [values[classes == index].double().mean() for index in set(classes.tolist())]
    return float(torch.stack(means).mean())
