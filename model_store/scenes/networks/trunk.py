"""The residual trunk that the scenes models share: an image in, a map of features out."""

from typing import cast

from torch import Tensor, nn

FEATURES = 96
"""Channels of the trunk's output."""


class ResidualBlock(nn.Module):
    """Two convolutions with batch normalisation and a shortcut.

    A halving convolution is 4x4: a 3x3 one with stride 2 is centred on a corner of the 2x2 pixels that it replaces, and
    three of these would move the maps by three and a half pixels.

    Args:
        channels_in: Channels of the input.
        channels_out: Channels of the output.
        halve: Whether the output has half the resolution.
    """

    def __init__(self, channels_in: int, channels_out: int, *, halve: bool = False) -> None:
        super().__init__()
        kernel, stride = (4, 2) if halve else (3, 1)
        self.conv1 = nn.Conv2d(channels_in, channels_out, kernel, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride), nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, channels_in, h, w]` to `[B, channels_out, h, w]`, or to half of that."""
        y = self.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return cast(Tensor, self.relu(y + self.shortcut(x)))


class Trunk(nn.Module):
    """A small residual network with stride 8, trained at 112 x 112, for which its last map is 14 x 14."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 24, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(24), nn.ReLU())
        self.stage1 = ResidualBlock(24, 32, halve=True)
        self.stage2 = ResidualBlock(32, 64, halve=True)
        self.stage3 = ResidualBlock(64, FEATURES)
        self.stage4 = ResidualBlock(FEATURES, FEATURES)

    def forward(self, images: Tensor) -> Tensor:
        """Look at normalised images.

        Args:
            images: Float `[B, 3, H, W]`, RGB, (value in [0, 1] - 0.5) / 0.25.

        Returns:
            Features, at least 0, `[B, FEATURES, H / 8, W / 8]`.
        """
        return cast(Tensor, self.stage4(self.stage3(self.stage2(self.stage1(self.stem(images))))))
