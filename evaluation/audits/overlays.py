"""Pictures of maps, for galleries."""

from typing import Final

from torch import Tensor

from camserve.rendering import overlay_picture
from evaluation.report.section import Picture

COLORMAP: Final = "turbo"
"""From a map's smallest value to its largest."""


def picture(image: Tensor) -> Picture:
    """An image ``[3, H, W]`` in [0, 1] as a gallery takes it."""
    shown: Picture = (image.permute(1, 2, 0) * 255).round().byte().cpu().numpy()
    return shown


def overlay(image: Tensor, raw: Tensor) -> Picture:
    """A raw map ``[h, w]`` in colours over its image ``[3, H, W]`` in [0, 1]."""
    height, width = image.shape[1:]
    return overlay_picture(picture(image), raw.float().cpu().numpy(), (0, 0, width, height), COLORMAP)
