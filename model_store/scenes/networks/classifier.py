"""The network of the scenes classifier, in all its versions: the trunk, global average pooling and one linear layer."""

from typing import cast

import torch
from torch import Tensor, nn

from model_store.scenes.networks.trunk import FEATURES, Trunk

CLASSES = 10


class ScenesClassifier(Trunk):
    """Softmax classifier over the shapes of the scenes world; its last spatial map is the output of `stage4`."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Classify normalised images.

        Args:
            images: Float `[B, 3, H, W]`, RGB, (value in [0, 1] - 0.5) / 0.25; trained at 112 x 112.

        Returns:
            Logits `[B, 10]`.
        """
        return cast(Tensor, self.head(torch.flatten(self.pool(super().forward(images)), 1)))


def build() -> nn.Module:
    """The untrained network; the weights are loaded by the caller."""
    return ScenesClassifier()
