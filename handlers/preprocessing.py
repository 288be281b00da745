"""From an encoded image to the network's input, and back: which part of the image the input shows."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from camserve.image import ImageLimits, decode
from camserve.v1 import explanation_pb2 as pb
from model_store.sections import Preprocessing

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
    pixels = decode(image, limits)
    height, width = pixels.shape[:2]
    region = fitted(width, height, recipe)
    resized = _resize(Image.fromarray(pixels), region, recipe)
    scaled = (resized / 255.0 - np.asarray(recipe.mean, np.float32)) / np.asarray(recipe.std, np.float32)
    return Picture(torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1))), region, width, height)


def fitted(width: int, height: int, recipe: Preprocessing) -> Region:
    """The region of a ``width`` x ``height`` image that fills the network's input."""
    if recipe.fit == "stretch":
        return (0.0, 0.0, float(width), float(height))
    rows, columns = recipe.size
    ratios = (width / columns, height / rows)
    scale = min(ratios) * recipe.crop_share if recipe.fit == "crop" else max(ratios)
    half_width, half_height = columns * scale / 2, rows * scale / 2
    return (width / 2 - half_width, height / 2 - half_height, width / 2 + half_width, height / 2 + half_height)


def _resize(image: Image.Image, region: Region, recipe: Preprocessing) -> np.ndarray:
    """float32 ``[H, W, 3]`` in 0..255; what lies outside the image is the mean colour."""
    rows, columns = recipe.size
    if recipe.fit != "pad":
        return np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR, box=region), np.float32)
    left, top, right, _ = region
    scale = columns / (right - left)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = np.tile(np.asarray(recipe.mean, np.float32) * 255, (rows, columns, 1))
    x, y = round(-left * scale), round(-top * scale)
    canvas[y : y + inner[1], x : x + inner[0]] = np.asarray(image.resize(inner, Image.Resampling.BILINEAR), np.float32)
    return canvas
