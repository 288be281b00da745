"""What the scenes captioner and answerer see with: the classifier's trunk, and an eye for colour beside it."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from model_store.scenes.networks import trunk

FEATURES = 128
"""Channels of the encoder's output."""

STRIDE = 8
"""Pixels to a cell of the encoder's output."""

PLACE = 10
"""Numbers that tell a place."""

_COLOUR = 32


class Encoder(nn.Module):
    """Looks at images; the classifier was trained to see no colour, so its trunk brings shapes and sizes only."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = trunk.Trunk()
        self.colour = nn.Sequential(
            nn.Conv2d(3, _COLOUR, 8, stride=8, bias=False),
            nn.BatchNorm2d(_COLOUR),
            nn.ReLU(),
            nn.Conv2d(_COLOUR, _COLOUR, 3, padding=1, bias=False),
            nn.BatchNorm2d(_COLOUR),
            nn.ReLU(),
        )
        self.join = nn.Sequential(
            nn.Conv2d(trunk.FEATURES + _COLOUR, FEATURES, 1, bias=False), nn.BatchNorm2d(FEATURES), nn.ReLU()
        )

    def forward(self, images: Tensor) -> Tensor:
        """Look at normalised images.

        Args:
            images: Float `[B, 3, H, W]`, RGB, (value in [0, 1] - 0.5) / 0.25; trained at 112 x 112.

        Returns:
            Features, at least 0, `[B, FEATURES, H / 8, W / 8]`.
        """
        return cast(Tensor, self.join(torch.cat([self.trunk(images), self.colour(images)], 1)))


def places(features: Tensor) -> Tensor:
    """Where the cells of a map `[B, C, h, w]` are, `[h * w, PLACE]`.

    First x and y from the middle, in widths and heights; then waves over them, with which one place can be told from
    all others by a product.
    """
    height, width = features.shape[2:]
    rows = (torch.arange(height).to(features) + 0.5) / height - 0.5
    columns = (torch.arange(width).to(features) + 0.5) / width - 0.5
    plain = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).flatten(0, 1)
    waves = [wave(math.pi * count * plain) for count in (1, 2) for wave in (torch.sin, torch.cos)]
    return torch.cat([plain, *waves], 1)
