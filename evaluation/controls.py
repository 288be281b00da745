"""Maps that know nothing of the model, for tables to hold methods against."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor


def fake_cam(height: int, width: int) -> Tensor:
    """Fake-CAM ``[H, W]``: all ones but one corner, which hides nothing.

    Poppi et al., "Revisiting the evaluation of class activation mapping for explainability" (CVPR Workshops 2021).
    """
    plane = torch.ones(height, width)
    plane[0, 0] = 0.0
    return plane


def centre(height: int, width: int) -> Tensor:
    """A Gaussian ``[H, W]`` in the middle, of a quarter of each side: where photographers put things."""
    rows, columns = (torch.arange(side) - (side - 1) / 2 for side in (height, width))
    return torch.exp(-0.5 * ((rows[:, None] / (height / 4)).square() + (columns / (width / 4)).square()))


CONTROLS: Final[Mapping[str, Callable[[int, int], Tensor]]] = MappingProxyType(
    {"fake-cam": fake_cam, "centre": centre, "uniform": torch.ones}
)
"""By the name that stands in tables."""
