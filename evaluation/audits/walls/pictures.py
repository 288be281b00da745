"""Pictures with an object above the wall and one of another class behind it, as STACK-MIX of the paper."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ImageOps
from torch import Tensor
from torchvision.datasets import ImageFolder

from model_store.scenes.dataset import HELD_OUT_SEEDS
from model_store.scenes.drawing import draw, masks
from model_store.scenes.scene import Scene, one_class_scene
from model_store.scenes.shapes import REACH
from model_store.scenes.vocabulary import SHAPES

_UPPER: Final = HELD_OUT_SEEDS[5_000_000:6_000_000]
_STRIPS: Final = HELD_OUT_SEEDS[6_000_000:7_000_000]


@dataclass(frozen=True, eq=False)
class StackedPictures:
    """Pictures of two halves.

    Attributes:
        source: what they are made of, in words.
        images: float32 ``[N, 3, side, side]`` in [0, 1].
        above: class of the upper half, int64 ``[N]``.
        behind: class of the strip, another one, int64 ``[N]``.
    """

    source: str
    images: Tensor
    above: Tensor
    behind: Tensor

    def only(self, which: Tensor) -> "StackedPictures":
        """Those of which ``which``, bool ``[N]``, is true."""
        return replace(self, images=self.images[which], above=self.above[which], behind=self.behind[which])


def stacked_scenes(number: int, side: int, wall: int) -> StackedPictures:
    """Draws scenes whose lower strip is replaced by a strip of another scene; the same arguments give the same bits.

    Args:
        number: of pictures.
        side: height and width in pixels.
        wall: the first row of the strip; objects of the upper scene end above it.
    """
    images, above, behind = [], [], []
    for index, scene in enumerate(islice(_above(side, wall), number)):
        shape = scene.shapes[0]
        other = _behind(_STRIPS[index], shape, height=1 - wall / side)
        images.append(np.concatenate([draw(scene, side, side)[:wall], draw(other, side, side)[wall:]]))
        above.append(SHAPES.index(shape))
        behind.append(SHAPES.index(other.shapes[0]))
    return StackedPictures("held-out scenes", _planes(images), torch.tensor(above), torch.tensor(behind))


def stacked_photos(folder: Path, labels: Sequence[str], number: int, side: int, wall: int) -> StackedPictures:
    """Stacks pictures of one's own: the middle of one over the middle strip of one of another class.

    Args:
        folder: with a folder per class, named by its label.
        labels: of the classes, in the model's order.
        number: of pictures to make.
        side: height and width in pixels.
        wall: the first row of the strip.

    Raises:
        FileNotFoundError: there is no folder of a class, or one is empty.
        ValueError: a folder is not named by a label, or there are fewer than two.
    """
    photos = ImageFolder(folder)
    strangers = [name for name in photos.classes if name not in labels]
    if strangers:
        raise ValueError(f"{folder}: '{strangers[0]}' is no label of the model; name the folders {', '.join(labels)}")
    if len(photos.classes) < 2:
        raise ValueError(f"{folder}: there is one class only, and an object of another has to go behind the wall")
    rng = np.random.default_rng(0)
    classes = np.array(photos.targets)
    images, above, behind = [], [], []
    for _ in range(number):
        upper = int(rng.integers(len(photos)))
        lower = int(rng.choice(np.flatnonzero(classes != classes[upper])))
        body = ImageOps.fit(photos[upper][0], (side, side))
        strip = ImageOps.fit(photos[lower][0], (side, side - wall))
        images.append(np.concatenate([np.asarray(body)[:wall], np.asarray(strip)]))
        above.append(labels.index(photos.classes[classes[upper]]))
        behind.append(labels.index(photos.classes[classes[lower]]))
    return StackedPictures(str(folder), _planes(images), torch.tensor(above), torch.tensor(behind))


def _planes(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def _above(side: int, wall: int) -> Iterator[Scene]:
    """Scenes of one class with nothing behind the wall."""
    for seed in _UPPER:
        scene = one_class_scene(seed)
        if not masks(scene, side, side)[:, wall:].any():
            yield scene


def _behind(seed: int, shape: str, height: float) -> Scene:
    """A scene with one object in its lower strip.

    Args:
        seed: of the scene.
        shape: the class that its object is not of.
        height: of the strip, as a share of the side.
    """
    place = SHAPES.index(shape) + int(np.random.default_rng(seed).integers(1, len(SHAPES)))
    scene = one_class_scene(seed, SHAPES[place % len(SHAPES)])
    item = scene.objects[0]
    extent = min(item.extent, height / (2 * REACH))  # it can be turned any way and stays in the strip
    return Scene(seed, (replace(item, extent=extent, y=(1 - height) / 2),))
