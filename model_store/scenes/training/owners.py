"""Which object owns each place of a scene: what words are named by, and where a model should look."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_store.scenes.drawing import masks
from model_store.scenes.networks.encoder import STRIDE
from model_store.scenes.scene import Scene
from model_store.scenes.training.fit import SIDE

_SIDES = (SIDE // 2 // STRIDE, SIDE // STRIDE)  # cells, at half the resolution and at the full

NOBODY = -1
"""The owner of a place where there is no object."""


class Owners:
    """Who owns the cells of the encoder's maps of some scenes."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self._owners = {side: torch.from_numpy(np.stack([_owners(scene, side) for scene in scenes])) for side in _SIDES}

    def at(self, batch: Tensor, mirrored: Tensor, side: int) -> Tensor:
        """Index of the object that is seen at the middle of each cell, int64 `[B, side, side]`, or `NOBODY`.

        Args:
            batch: Which scenes, int64 `[B]`.
            mirrored: Whether each is mirrored left to right, bool `[B]`.
            side: Cells along a side, for pictures of half or of full resolution.
        """
        owners = self._owners[side][batch]
        return torch.where(mirrored[:, None, None], owners.flip(2), owners).long()


def _owners(scene: Scene, side: int) -> NDArray[np.int8]:
    visible = masks(scene, side, side)
    return np.where(visible.any(0), visible.argmax(0), NOBODY).astype(np.int8)
