"""Scenes as pictures to evaluate on: held-out, with a class to explain, masks and boxes, in disjoint sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from evaluation.measures.boxes import Boxes
from evaluation.measures.segmentation import BACKGROUND
from model_store.scenes.dataset import HELD_OUT_SEEDS, KINDS
from model_store.scenes.drawing import boxes, draw, masks
from model_store.scenes.vocabulary import SHAPES

SET_SIZE: Final = 10_000
"""Most pictures of a set."""
_FIRST: Final = 1_000_000  # the held-out seeds before are for the models' own reports, tests and demos


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures and what is in them.

    Attributes:
        images: float32 ``[N, 3, H, W]`` in [0, 1].
        labels: a class that is present, int64 ``[N]``: that of the object of which most is seen.
        truth: class of each pixel, int64 ``[N, H, W]``; ``BACKGROUND`` where there is no object.
        boxes: of the visible parts of the label's objects, int64 ``[n, 4]`` per picture.
    """

    images: Tensor
    labels: Tensor
    truth: Tensor
    boxes: tuple[Boxes, ...]

    def masks_of(self, classes: Tensor) -> Tensor:
        """Where the objects of a class ``[N]`` are, bool ``[N, H, W]``; empty where it is absent."""
        return self.truth == classes[:, None, None]


def pictures(kinds: Sequence[str], number: int, indices: Sequence[int], size: tuple[int, int]) -> Pictures:
    """Draws some pictures of a set; the same arguments give the same bits.

    Args:
        kinds: kinds of scene, which take turns over the indices; keys of ``KINDS``.
        number: of the set; sets of other numbers have no scene in common with it.
        indices: of the pictures in the set, at least one, each below ``SET_SIZE``.
        size: height and width in pixels.

    Raises:
        KeyError: a kind is not known.
        IndexError: an index or the set's number is out of range.
    """
    block = HELD_OUT_SEEDS[_FIRST:][number * SET_SIZE : (number + 1) * SET_SIZE]
    height, width = size
    images, labels, truth, found = [], [], [], []
    for index in indices:
        scene = KINDS[kinds[index % len(kinds)]](block[index])
        visible = masks(scene, width, height)
        classes = np.array([SHAPES.index(item.shape) for item in scene.objects])
        label = classes[visible.sum((1, 2)).argmax()]
        images.append(draw(scene, width, height))
        labels.append(int(label))
        truth.append(np.where(visible.any(0), classes[visible.argmax(0)], BACKGROUND))
        found.append(boxes(visible[classes == label]))
    return Pictures(
        images=torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255,
        labels=torch.tensor(labels),
        truth=torch.from_numpy(np.stack(truth)),
        boxes=tuple(found),
    )
