"""From an encoded image to the network's input, and back: which part of the image the input shows."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from camserve.image import ImageLimits, decode_image, read_header
from camserve.v1 import explanation_pb2 as pb
from model_store.sections import Preprocessing

_REDUCING_GAP = 2.0
"""A decoder that reduces an image on its way leaves it so many times as large as the input at least, so that the final
resize decides what the network sees. Pillow's documentation calls a gap of 2 hard to tell from none, and 3 the same."""

Region = tuple[float, float, float, float]
"""Left, top, right and bottom edge in pixels of the original image."""


@dataclass(frozen=True)
class Picture:
    """An image as the network takes it.

    Attributes:
        tensor: ``[3, H, W]`` float32.
        region: what it shows of the original image; may reach beyond its edges.
        width: of the original image after EXIF orientation, in pixels.
        height: likewise.
    """

    tensor: Tensor
    region: Region
    width: int
    height: int

    @property
    def size(self) -> pb.ImageSize:
        """The original image's size."""
        return pb.ImageSize(height=self.height, width=self.width)

    @property
    def box(self) -> pb.Box:
        """The region as a message."""
        left, top, right, bottom = self.region
        return pb.Box(left=left, top=top, right=right, bottom=bottom)


def prepare(image: bytes, recipe: Preprocessing, limits: ImageLimits) -> Picture:
    """Decodes, fits and normalises an image.

    Raises:
        InvalidArgumentError: the image cannot be read or breaks a limit.
    """
    header = read_header(image, limits)
    width, height = header.width, header.height
    region = fitted(width, height, recipe)
    whole = decode_image(image, limits, least=_least(width, height, region, recipe))
    across, down = whole.width / width, whole.height / height
    left, top, right, bottom = region
    resized = _resize(whole, (left * across, top * down, right * across, bottom * down), recipe)
    planes = resized.transpose(2, 0, 1).astype(np.float32, order="C")
    planes /= 255.0
    planes -= np.array(recipe.mean, np.float32)[:, None, None]
    planes /= np.array(recipe.std, np.float32)[:, None, None]
    return Picture(torch.from_numpy(planes), region, width, height)


def fitted(width: int, height: int, recipe: Preprocessing) -> Region:
    """The region of a ``width`` x ``height`` image that fills the network's input."""
    if recipe.fit == "stretch":
        return (0.0, 0.0, float(width), float(height))
    rows, columns = recipe.size
    ratios = (width / columns, height / rows)
    scale = min(ratios) * recipe.crop_share if recipe.fit == "crop" else max(ratios)
    half_width, half_height = columns * scale / 2, rows * scale / 2
    return (width / 2 - half_width, height / 2 - half_height, width / 2 + half_width, height / 2 + half_height)


def _least(width: int, height: int, region: Region, recipe: Preprocessing) -> tuple[int, int]:
    """Width and height below which a ``width`` x ``height`` image is too coarse to be made the input's region of."""
    rows, columns = recipe.size
    left, top, right, bottom = region
    share = _REDUCING_GAP * max(columns / (right - left), rows / (bottom - top))
    return ceil(share * width), ceil(share * height)


def _resize(image: Image.Image, region: Region, recipe: Preprocessing) -> np.ndarray:
    """``[H, W, 3]`` in 0..255; what lies outside the image is the mean colour."""
    rows, columns = recipe.size
    if recipe.fit != "pad":
        return np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR, box=region))
    left, top, right, _ = region
    scale = columns / (right - left)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = np.tile(np.asarray(recipe.mean, np.float32) * 255, (rows, columns, 1))
    x, y = round(-left * scale), round(-top * scale)
    canvas[y : y + inner[1], x : x + inner[0]] = np.asarray(image.resize(inner, Image.Resampling.BILINEAR))
    return canvas
