"""A picture as the model sees it, with what is known to be in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evaluation.measures.boxes import Boxes

IGNORED = -2
"""Class of pixels of which nothing is known: not even that they are background."""
UNLABELLED = -1
"""Label of pictures without one."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture.

    Attributes:
        name: by which it is found again.
        image: float32 ``[3, H, W]`` in [0, 1].
        label: a class that is present, or ``UNLABELLED``.
        truth: class of each pixel, int64 ``[H, W]``; ``BACKGROUND`` or ``IGNORED`` elsewhere.
        boxes: around the objects of each class that is present, as far as it is known.
    """

    name: str
    image: Tensor
    label: int
    truth: Tensor
    boxes: Mapping[int, Boxes]


@dataclass(frozen=True, eq=False)
class Pictures:
    """N pictures of one size; the fields are those of :class:`Picture`.

    Attributes:
        names: one each.
        images: float32 ``[N, 3, H, W]`` in [0, 1].
        labels: int64 ``[N]``.
        truth: int64 ``[N, H, W]``.
        boxes: one mapping each.
    """

    names: tuple[str, ...]
    images: Tensor
    labels: Tensor
    truth: Tensor
    boxes: tuple[Mapping[int, Boxes], ...]

    @classmethod
    def of(cls, pictures: Sequence[Picture]) -> "Pictures":
        """Some pictures, at least one, as a batch."""
        return cls(
            names=tuple(picture.name for picture in pictures),
            images=torch.stack([picture.image for picture in pictures]),
            labels=torch.tensor([picture.label for picture in pictures]),
            truth=torch.stack([picture.truth for picture in pictures]),
            boxes=tuple(picture.boxes for picture in pictures),
        )

    def masks_of(self, classes: Tensor) -> Tensor:
        """The pixels of a class ``[N]`` each, bool ``[N, H, W]``; none where it is absent or its pixels unknown."""
        return self.truth == classes[:, None, None]

    def boxes_of(self, classes: Tensor) -> tuple[Boxes, ...]:
        """The boxes of a class ``[N]`` each; none where it is absent or its boxes unknown."""
        nothing = np.zeros((0, 4), dtype=np.int64)
        return tuple(own.get(wanted, nothing) for own, wanted in zip(self.boxes, classes.tolist(), strict=True))
