"""Small networks of the kinds that people explain, in float64 with fixed random weights."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 5
SIDE = 16


class GapHead(nn.Module):
    """Convolutions, global average pooling, one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(x).mean((2, 3)))


class FlatHead(nn.Module):
    """As VGG: the map is flattened into a multilayer head."""

    layer = "features.2"

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.head = nn.Sequential(nn.Linear(8 * 16, 24), nn.ReLU(inplace=True), nn.Linear(24, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).flatten(1))


class Block(nn.Module):
    """A residual block whose activation works in place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm(self.conv(x))
        out += x
        return self.relu(out)


class Residual(nn.Module):
    """As ResNet: batch norm, skips, activations in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool2d(self.blocks(self.stem(x)), 1).flatten(1))


class Tupled(nn.Module):
    """A trunk that returns a tuple and a model that returns an object with logits, as transformers' models do."""

    class Trunk(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)

        def forward(self, x: Tensor) -> tuple[Tensor, str]:
            return self.conv(x).tanh(), "extra"

    class Output:
        def __init__(self, logits: Tensor) -> None:
            self.logits = logits

    def __init__(self) -> None:
        super().__init__()
        self.trunk = self.Trunk()
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> "Tupled.Output":
        features, _ = self.trunk(x)
        return self.Output(self.head(features.mean((2, 3))))


class CurvedHead(nn.Module):
    """Smooth activations all over, so that second derivatives are not zero."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 6, 3, stride=3), nn.GELU())
        self.body = nn.Conv2d(6, 4, 2)
        self.head = nn.Sequential(nn.Flatten(), nn.GELU(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.trunk(x)))


class Tokens(nn.Module):
    """As ViT: patches become tokens, a class token is put before them, blocks attend, the class token is read."""

    class Block(nn.Module):
        """Norm, attention, norm, multilayer perceptron, each of the pairs beside a skip."""

        def __init__(self, width: int) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
            self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

        def forward(self, x: Tensor) -> Tensor:
            y = self.norm1(x)
            x = x + self.attention(y, y, y, need_weights=False)[0]
            return x + self.mlp(self.norm2(x))

    def __init__(self) -> None:
        super().__init__()
        width, cells = 12, (SIDE // 4) ** 2
        self.embed = nn.Conv2d(3, width, 4, stride=4)
        self.first = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 1 + cells, width))
        self.blocks = nn.Sequential(self.Block(width), self.Block(width))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.embed(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(x), -1, -1), patches], 1) + self.places
        return self.head(self.norm(self.blocks(tokens))[:, 0])


NETS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "gap head": (GapHead, "trunk"),
    "flat head": (FlatHead, "features"),
    "residual": (Residual, "blocks"),
    "in place": (Residual, "blocks.0.norm"),
    "curved head": (CurvedHead, "trunk"),
    "tuple output": (Tupled, "trunk"),
    "tokens": (Tokens, "blocks.1.norm1"),
}
"""Factories and the layer to explain, by kind."""


def make(kind: str) -> tuple[nn.Module, str]:
    """A network of a kind and its layer; always the same weights."""
    factory, layer = NETS[kind]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = factory().double().eval()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2.0)
    return net, layer


def images(count: int, seed: int = 0) -> Tensor:
    """Random images ``[count, 3, 16, 16]`` in float64."""
    return torch.randn(count, 3, SIDE, SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
