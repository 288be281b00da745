"""Naming what is at each place: what encoders are trained by, and what keeps the words of maps where the things are."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from model_store.scenes.scene import MAX_OBJECTS, Scene
from model_store.scenes.training.owners import NOBODY, Owners


class Naming:
    """Which words name the object at each place of some scenes; where there is none, no word does."""

    def __init__(self, scenes: Sequence[Scene], owners: Owners, vocabulary: Sequence[str]) -> None:
        """Looks up the names.

        Args:
            scenes: What pictures show.
            owners: Of their places.
            vocabulary: Words; those of them that are sizes, colours or shapes name objects.
        """
        self._owners = owners
        self._names = torch.zeros(len(scenes), MAX_OBJECTS + 1, len(vocabulary))  # the last object is nobody
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
        owners = self._owners.at(batch, mirrored, evidence.shape[2])
        return binary_cross_entropy_with_logits(evidence, self._names[batch[:, None, None], owners])

    def noise(self, features: Tensor, batch: Tensor, mirrored: Tensor) -> Tensor:
        """Mean square of features `[B, C, side, side]` where there is no object."""
        empty = self._owners.at(batch, mirrored, features.shape[3]) == NOBODY
        return features.square().mean(1)[empty].mean()
