"""From a file to the model's input, and the objects that are known of it along with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from camserve.errors import InvalidArgumentError
from camserve.image import ImageLimits
from evaluation.measures.boxes import Boxes, component_boxes
from evaluation.measures.segmentation import BACKGROUND
from evaluation.pictures.picture import IGNORED, UNLABELLED, Picture
from evaluation.pictures.source import PictureError
from handlers.preprocessing import Region, prepare
from model_store.sections import Preprocessing

_LIMITS = ImageLimits(max_bytes=1 << 31, max_pixels=1 << 31, min_side=1, max_side=1 << 16, max_aspect_ratio=1e6)


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a file, in its own pixels after EXIF orientation.

    Attributes:
        label: the class to explain; None: that of which most is in the picture, ``UNLABELLED`` if nothing is known.
        boxes: edges ``(left, top, right, bottom)`` of the objects of each class; where there are none for a class in
            ``truth``, those of its connected areas are taken.
        truth: class of each pixel, int64 ``[height, width]``; ``BACKGROUND`` or ``IGNORED`` elsewhere. None: no pixel
            is known.
    """

    label: int | None = None
    boxes: Mapping[int, Sequence[Region]] | None = None
    truth: NDArray[np.int64] | None = None


def fitted_picture(name: str, file: Path, known: Known, how: Preprocessing) -> Picture:
    """Reads a picture and brings it, and what is known of it, to the model's input.

    Raises:
        PictureError: it cannot be read, or what is known of it does not fit it.
    """
    try:
        found = prepare(file.read_bytes(), how, _LIMITS)
    except OSError as error:
        raise PictureError(name, f"cannot be read: {error.strerror or error}") from error
    except InvalidArgumentError as error:
        raise PictureError(name, error.message) from error
    if known.truth is not None and known.truth.shape != (found.height, found.width):
        height, width = known.truth.shape
        raise PictureError(name, f"its mask is {width} x {height} pixels, itself {found.width} x {found.height}")
    truth = _fitted_truth(known.truth, found.region, how.size)
    boxes = _fitted_boxes(known.boxes or {}, found.region, how.size)
    for index in set(np.unique(truth).tolist()) - {BACKGROUND, IGNORED} - boxes.keys():
        boxes[index] = component_boxes(truth == index)
    return Picture(
        name=name,
        image=_pixels(found.tensor, how),
        label=_largest(boxes) if known.label is None else known.label,
        truth=torch.from_numpy(truth),
        boxes=boxes,
    )


def read_classes(name: str, file: Path, classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The classes of a picture whose pixels are numbers, as palette or gray.

    Args:
        name: of the picture whose mask it is.
        file: of the mask, a PNG.
        classes: what each of the 256 numbers means.

    Raises:
        PictureError: it cannot be read, or has no numbers but colours.
    """
    try:
        with Image.open(file, formats=["PNG"]) as image:
            if image.mode not in ("P", "L", "1"):
                raise PictureError(name, f"its mask {file.name} has colours; save it with a palette, or as gray")
            return classes[np.asarray(image, dtype=np.uint8)]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow lets through
        raise PictureError(name, f"its mask {file.name} cannot be read: {error}") from error


def _pixels(tensor: Tensor, how: Preprocessing) -> Tensor:
    """In [0, 1], as they were before mean and deviation were applied."""
    mean, std = (tensor.new_tensor(values)[:, None, None] for values in (how.mean, how.std))
    return (tensor * std + mean).clamp(0.0, 1.0)


def _fitted_truth(truth: NDArray[np.int64] | None, region: Region, size: tuple[int, int]) -> NDArray[np.int64]:
    """Of the nearest pixel; beyond the picture is background."""
    if truth is None:
        return np.full(size, IGNORED)
    height, width = truth.shape
    left, top, right, bottom = region
    rows = np.floor(top + (np.arange(size[0]) + 0.5) * (bottom - top) / size[0]).astype(int)
    columns = np.floor(left + (np.arange(size[1]) + 0.5) * (right - left) / size[1]).astype(int)
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    nearest = truth[rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)]
    return np.where(inside, nearest, BACKGROUND)


def _fitted_boxes(boxes: Mapping[int, Sequence[Region]], region: Region, size: tuple[int, int]) -> dict[int, Boxes]:
    """To whole pixels of the input; what was cut off is left out."""
    left, top, right, bottom = region
    scale = np.array([size[1] / (right - left), size[0] / (bottom - top)] * 2)
    limit = np.array([size[1], size[0]] * 2)
    found = {}
    for index, own in boxes.items():
        placed = (np.asarray(own, dtype=np.float64).reshape(-1, 4) - [left, top, left, top]) * scale
        whole = np.clip(placed.round().astype(np.int64), 0, limit)
        whole = whole[(whole[:, 2:] > whole[:, :2]).all(1)]
        if len(whole):
            found[index] = whole
    return found


def _largest(boxes: Mapping[int, Boxes]) -> int:
    """The class of the largest box; the first of equals."""
    areas = {index: int((own[:, 2:] - own[:, :2]).prod(1).max()) for index, own in boxes.items()}
    return max(areas, key=areas.__getitem__, default=UNLABELLED)
