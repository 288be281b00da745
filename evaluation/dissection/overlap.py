"""How well where a unit is most active agrees with where a concept is.

Bau et al., "Network dissection" (CVPR 2017): a unit k is taken for on where its activation, upsampled bilinearly, is
above ``T_k``, which it exceeds in a given share of all cells of all pictures. With a concept c it agrees as
``IoU_kc = Σ |on_k ∩ c| / Σ |on_k ∪ c|``, sums over all pictures. Both are taken of a stream, in bounded memory.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from saliency.maps import upsample


class Thresholds:
    """What each unit exceeds in a share of its cells, exactly: only the largest activations are kept."""

    def __init__(self, cells: int, share: float) -> None:
        """Takes what is to come.

        Args:
            cells: of all maps of a unit together.
            share: of cells that are to be above, in 0 to 1.
        """
        self._keep = int(share * cells) + 1
        self._largest: Tensor | None = None

    def add(self, activations: Tensor) -> None:
        """Looks at the maps ``[B, C, h, w]`` of some pictures."""
        seen = activations.transpose(0, 1).flatten(1)
        if self._largest is not None:
            seen = torch.cat([self._largest, seen], 1)
        self._largest = seen.topk(min(self._keep, seen.shape[1]), 1).values

    @property
    def values(self) -> Tensor:
        """T, ``[C]``: as many cells as the share says are above it, or fewer if some are equal."""
        if self._largest is None:
            raise ValueError("no activations were added, so there are no thresholds")
        return self._largest[:, -1]


class Overlap:
    """Counts of pixels in which units are on and concepts are there."""

    def __init__(self, units: int, concepts: int) -> None:
        self._both = torch.zeros(units, concepts, dtype=torch.float64)
        self._on = torch.zeros(units, 1, dtype=torch.float64)
        self._there = torch.zeros(concepts, dtype=torch.float64)

    def add(self, on: Tensor, there: Tensor) -> None:
        """Counts some pictures.

        Args:
            on: where units are, bool ``[B, C, H, W]``.
            there: where concepts are, bool ``[B, N, H, W]``.
        """
        units, concepts = on.flatten(2).float(), there.flatten(2).float()
        self._both += (units @ concepts.transpose(1, 2)).double().sum(0)  # whole numbers of pixels, exact in float32
        self._on += units.sum(2).double().sum(0)[:, None]
        self._there += concepts.sum(2).double().sum(0)

    def iou(self) -> Tensor:
        """Intersection over union, float64 ``[units, concepts]``; 0 where both are empty."""
        return self._both / (self._on + self._there - self._both).clamp_min(1)


def on(activations: Tensor, thresholds: Tensor, size: Sequence[int]) -> Tensor:
    """Where units are on, bool ``[B, C, *size]``, given maps ``[B, C, h, w]`` and T ``[C]``."""
    return upsample(activations, size) > thresholds[:, None, None]
