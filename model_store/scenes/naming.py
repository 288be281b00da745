"""Naming what is at each place: what encoders are trained by, and what keeps the words of maps where the things are."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from model_store.scenes.drawing import masks
from model_store.scenes.scene import MAX_OBJECTS, Scene
from model_store.scenes.training import SIDE

_STRIDE = 8  # pixels to a cell
_SIDES = (SIDE // 2 // _STRIDE, SIDE // _STRIDE)  # cells, at half the resolution and at the full


class Naming:
    """Which words name the object at each place of some scenes; where there is none, no word does."""

    def __init__(self, scenes: Sequence[Scene], vocabulary: Sequence[str]) -> None:
        """Looks who owns each place.

        Args:
            scenes: What pictures show.
            vocabulary: Words; those of them that are sizes, colours or shapes name objects.
        """
        self._owners = {side: torch.from_numpy(np.stack([_owners(scene, side) for scene in scenes])) for side in _SIDES}
        self._names = torch.zeros(len(scenes), MAX_OBJECTS + 1, len(vocabulary))  # the last object is none
        column = {word: index for index, word in enumerate(vocabulary)}
        for row, scene in zip(self._names, scenes, strict=True):
            for place, item in enumerate(scene.objects):
                row[place, [column[word] for word in (item.size, item.colour, item.shape) if word in column]] = 1

    def loss(self, evidence: Tensor, batch: Tensor, mirrored: Tensor) -> Tensor:
        """Cross-entropy of the words' evidence `[B, side, side, words]` at each place, each word by itself.

        Args:
            evidence: Logits.
            batch: Which scenes they are of, int64 `[B]`.
            mirrored: Whether each is mirrored left to right, bool `[B]`.
        """
        owners = self._owners_of(batch, mirrored, evidence.shape[2]).long()
        return binary_cross_entropy_with_logits(evidence, self._names[batch[:, None, None], owners])

    def noise(self, features: Tensor, batch: Tensor, mirrored: Tensor) -> Tensor:
        """Mean square of features `[B, C, side, side]` where there is no object."""
        empty = self._owners_of(batch, mirrored, features.shape[3]) < 0
        return features.square().mean(1)[empty].mean()

    def _owners_of(self, batch: Tensor, mirrored: Tensor, side: int) -> Tensor:
        owners = self._owners[side][batch]
        return torch.where(mirrored[:, None, None], owners.flip(2), owners)


def _owners(scene: Scene, side: int) -> NDArray[np.int8]:
    """Which object is seen at the middle of each cell, int8 `[side, side]`; -1 for none."""
    visible = masks(scene, side, side)
    return np.where(visible.any(0), visible.argmax(0), -1).astype(np.int8)
