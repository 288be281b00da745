"""What Grad-CAM shows behind the wall before any training, against its closed form.

The paper's theorem is on one convolution without bias, ReLU, max pooling and dense layers without bias, all weights
Gaussian, the first dense layer blind to the lower rows. With a single dense layer the expectation has a closed form.
Notation: B the ReLU's output, V channels of h x w; τ the standard deviation of the dense weights; P the number of
pooled positions that they read in each channel.

A channel's weight in Grad-CAM is the mean of its gradient over the map. Max pooling hands the gradient of each position
on to one cell, so the weight is ``α_v = (1/hw) Σ_p W_vp``: normal, independent over channels and of B, with standard
deviation ``s = τ √P / (hw)``. Given B, ``Σ_v α_v B_v`` is then normal with deviation ``s ‖B_ij‖₂`` in every cell,
whether the dense layer reads it or not. So there, too, Grad-CAM is positive with probability 1/2, and its mean is
``s ‖B_ij‖₂ / √(2π)``.
"""

import math
from dataclasses import dataclass
from typing import Final, cast

import torch
from torch import Tensor, nn

from saliency import explain

_AT_ONCE: Final = 256
"""Draws that are explained together."""


class UntrainedBlindNetwork(nn.Module):
    """The theorem's network for images ``[B, 3, side, side]``; every class is a draw of the dense weights.

    Args:
        side: of the images, even.
        channels: V.
        seen_rows: of the pooled map, which has ``side / 2``.
        draws: classes.
        generator: of the weights, which are all standard normal (τ = 1).
    """

    def __init__(self, *, side: int, channels: int, seen_rows: int, draws: int, generator: torch.Generator) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.dense = nn.Linear(channels * seen_rows * (side // 2), draws, bias=False)
        self.seen_rows = seen_rows
        self.positions = seen_rows * (side // 2)
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``[B, draws]``."""
        seen = self.pool(self.relu(self.convolution(images)))[:, :, : self.seen_rows]
        return cast(Tensor, self.dense(torch.flatten(seen, 1)))

    @property
    def wall(self) -> int:
        """The first row of the ReLU's output that the dense layer does not read."""
        return 2 * self.seen_rows


@dataclass(frozen=True)
class Behind:
    """What maps of an untrained network show behind the wall, over all cells there and all draws.

    Attributes:
        mean: of the maps, in units of s.
        positive: share of values above 0.
        expected_mean: what the closed form says of Grad-CAM's mean, likewise in units of s.
    """

    mean: float
    positive: float
    expected_mean: float


def behind_untrained_wall(network: UntrainedBlindNetwork, image: Tensor, method: str) -> Behind:
    """Explains every draw for one image, reading the ReLU's output.

    Args:
        network: in evaluation mode.
        image: ``[3, side, side]``.
        method: id of a method.
    """
    with torch.no_grad():
        maps = network.relu(network.convolution(image[None]))[0]
    scale = math.sqrt(network.positions) / maps[0].numel()
    draws = torch.split(torch.arange(network.dense.out_features), _AT_ONCE)
    found = torch.cat([explain(network, image[None], [chunk.tolist()], method, "relu").maps[0] for chunk in draws])
    hidden = found[:, network.wall :].double() / scale
    return Behind(
        mean=float(hidden.mean()),
        positive=float((hidden > 0).double().mean()),
        expected_mean=float(maps[:, network.wall :].double().norm(dim=0).mean() / math.sqrt(2 * math.pi)),
    )
