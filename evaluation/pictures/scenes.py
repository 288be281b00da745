"""Scenes as pictures to evaluate on: held-out, with a class to explain, masks and boxes, in disjoint sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from evaluation.measures.segmentation import BACKGROUND
from evaluation.pictures.picture import Picture, Pictures
from evaluation.pictures.source import Truth
from model_store.scenes.dataset import HELD_OUT_SEEDS, KINDS
from model_store.scenes.drawing import boxes, draw, masks
from model_store.scenes.vocabulary import SHAPES

SET_SIZE: Final = 10_000
"""Most pictures of a set."""
_FIRST: Final = 1_000_000  # the held-out seeds before are for the models' own reports, tests and demos


@dataclass(frozen=True)
class Scenes:
    """Sets of held-out scenes; sets of other numbers have no scene in common.

    Attributes:
        kinds: of scene, which take turns; keys of ``KINDS``.
        count: pictures of each set, at most ``SET_SIZE``.
        sets: how many.
        size: height and width in pixels.
    """

    kinds: tuple[str, ...]
    count: int
    sets: int
    size: tuple[int, int]

    @property
    def title(self) -> str:
        """What they are."""
        return f"held-out scenes ({', '.join(self.kinds)})"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Which they are; more sets may be added later."""
        return {"kinds": self.kinds, "count": self.count}

    @property
    def truths(self) -> frozenset[Truth]:
        """All is known of them."""
        return frozenset(Truth)

    def counts(self) -> list[int]:
        """The same for each set."""
        return [self.count] * self.sets

    def read(self, number: int, index: int) -> Picture:
        """Draws a picture; the same arguments give the same bits.

        The label is the class of the object of which most is seen; boxes are those of the visible parts.

        Raises:
            IndexError: an index or the set's number is out of range.
        """
        seed = HELD_OUT_SEEDS[_FIRST:][number * SET_SIZE : (number + 1) * SET_SIZE][index]
        kind = self.kinds[index % len(self.kinds)]
        scene = KINDS[kind](seed)
        height, width = self.size
        visible = masks(scene, width, height)
        shown = visible.any((1, 2))
        classes, visible = np.array([SHAPES.index(item.shape) for item in scene.objects])[shown], visible[shown]
        return Picture(
            name=f"{kind} scene {seed}",
            image=torch.from_numpy(draw(scene, width, height)).permute(2, 0, 1).float() / 255,
            label=int(classes[visible.sum((1, 2)).argmax()]),
            truth=torch.from_numpy(np.where(visible.any(0), classes[visible.argmax(0)], BACKGROUND)),
            boxes={int(index): boxes(visible[classes == index]) for index in np.unique(classes)},
        )


def pictures(kinds: Sequence[str], number: int, indices: Sequence[int], size: tuple[int, int]) -> Pictures:
    """Draws some pictures of a set.

    Args:
        kinds: kinds of scene, which take turns over the indices; keys of ``KINDS``.
        number: of the set.
        indices: of the pictures in the set, at least one, each below ``SET_SIZE``.
        size: height and width in pixels.

    Raises:
        KeyError: a kind is not known.
        IndexError: an index or the set's number is out of range.
    """
    scenes = Scenes(tuple(kinds), SET_SIZE, number + 1, size)
    return Pictures.of([scenes.read(number, index) for index in indices])
