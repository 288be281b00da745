"""The network that is blind to the lower strip of its image: a VGG whose dense layers read the upper rows only."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from model_store.scenes.vocabulary import SHAPES

VGG16: Final = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 256))
"""Channels of the paper's convolutions: those of VGG16, but for the last."""
VGG16_SIDE: Final = 224
VGG16_ROWS: Final = 5
"""Rows that the paper keeps, of 14."""

SMALL: Final = ((12,), (24,), (48, 48), (96, 48))
"""Channels of the network for scenes."""
SMALL_SIDE: Final = 112
SMALL_ROWS: Final = 7
"""Rows that it keeps, of 14: the hidden strip is 29 of 112 pixels high."""


class MaskedVGG(nn.Module):
    """VGG without the last pooling, of whose last map only the upper rows reach the dense layers.

    Taimeskhanov et al., "CAM-Based Methods Can See through Walls" (ECML PKDD 2024). There the weights of the first
    dense layer for the other rows are set to zero after each step of training; here the layer has none. That is the
    same function, with fewer parameters and nothing to be kept at zero.

    What is in the hidden strip does not change a bit of the logits in evaluation mode, if convolutions are computed
    directly, as they are on a CPU. Winograd's and Fourier's algorithms, which a GPU may choose, mix neighbouring rows
    up to rounding.

    Args:
        blocks: channels of 3x3 convolutions; between blocks the resolution is halved.
        side: height and width of the images in pixels; divisible by 2 for each halving.
        seen_rows: of the last map, from the top, that the dense layers read; all of them: the paper's baseline.
        hidden: units of each dense layer but the last.
        classes: how many.
        batch_norm: whether a batch normalisation follows each convolution. The paper's network has none; the small one
            learns next to nothing in a few minutes without.

    Attributes:
        features: the convolutions; their output ``[B, C, h, w]``, at least 0, is the last map.
        channels: C.
        classifier: the dense layers.
        wall: the first row of pixels that cannot be seen; ``side`` if all can.

    Raises:
        ValueError: the side cannot be halved that often, or the rows are not among those of the last map.
    """

    def __init__(
        self,
        blocks: Sequence[Sequence[int]],
        *,
        side: int,
        seen_rows: int,
        hidden: Sequence[int],
        classes: int,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        stride = 2 ** (len(blocks) - 1)
        rows = side // stride
        if side % stride:
            raise ValueError(f"side must be divisible by {stride} for {len(blocks)} blocks, not {side}")
        if not 1 <= seen_rows <= rows:
            raise ValueError(f"seen_rows must lie in 1 to {rows}, the rows of the last map, not {seen_rows}")
        self.features = _features(blocks, batch_norm)
        self.channels = blocks[-1][-1]
        self.classifier = _classifier((self.channels * seen_rows * rows, *hidden), classes)
        self.seen_rows = seen_rows
        # A 3x3 convolution sees one cell of its own input beyond each side of what follows it.
        reach = sum(len(block) * 2**halvings for halvings, block in enumerate(blocks))
        self.wall: int = min(side, stride * seen_rows + reach)

    def forward(self, images: Tensor) -> Tensor:
        """Classify normalised images ``[B, 3, side, side]``: logits ``[B, classes]``."""
        seen = self.features(images)[:, :, : self.seen_rows]
        return cast(Tensor, self.classifier(torch.flatten(seen, 1)))


def masked_vgg16(classes: int, *, seen_rows: int = VGG16_ROWS) -> MaskedVGG:
    """The paper's network, untrained: 224 x 224 pixels, of which the lower 54 rows are hidden."""
    return MaskedVGG(VGG16, side=VGG16_SIDE, seen_rows=seen_rows, hidden=(4096, 4096), classes=classes)


def build() -> MaskedVGG:
    """The network for scenes, untrained: 112 x 112 pixels, of which the lower 29 rows are hidden."""
    return MaskedVGG(SMALL, side=SMALL_SIDE, seen_rows=SMALL_ROWS, hidden=(128,), classes=len(SHAPES), batch_norm=True)


def save_weights(network: nn.Module, file: Path) -> None:
    """Writes a network's weights as safetensors, in float16."""
    weights = network.state_dict().items()
    save_file({name: (v.half() if v.is_floating_point() else v).contiguous() for name, v in weights}, file)


def _features(blocks: Sequence[Sequence[int]], batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for block in blocks:
        if layers:
            layers.append(nn.MaxPool2d(2))
        for width in block:
            convolution = nn.Conv2d(channels, width, 3, padding=1, bias=not batch_norm)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
            if convolution.bias is not None:
                nn.init.zeros_(convolution.bias)
            layers += [convolution, *([nn.BatchNorm2d(width)] if batch_norm else []), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers)


def _classifier(widths: Sequence[int], classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))
