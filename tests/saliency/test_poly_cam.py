"""Values of Poly-CAM against a naive loop."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency import explain
from tests.nets import CLASSES, images

TARGETS = [[1, 3], [0, 2]]
STAGES = ["first", "second", "third"]


class _Stages(nn.Module):
    """Three resolutions: 16, 8 and 4."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU())
        self.third = nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU())
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.third(self.second(self.first(x))).mean((2, 3)))


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    net = _Stages().double().eval()
    net.head.bias.data.add_(0.5)
    return net


def _resize(values: Tensor, side: int) -> Tensor:
    return F.interpolate(values[None, None], size=(side, side), mode="bilinear")[0, 0]


def _mask(channel: Tensor) -> Tensor:
    up = _resize(channel, 16)
    return (up - up.min()) / (up.max() - up.min()) if channel.max() > channel.min() else torch.zeros_like(up)


@torch.no_grad()
def _naive(net: nn.Module, x: Tensor, target: int, objective: str) -> Tensor:
    """The map of one image ``[3, 16, 16]`` and target, a channel at a time."""
    first = net.first(x[None])
    second = net.second(first)
    third = net.third(second)
    map_: Tensor | None = None
    for activation in (third[0], second[0], first[0]):
        layer = torch.zeros_like(activation[0])
        for channel in activation:
            mask = _mask(channel)
            behind = net((x * mask)[None])[0, target]
            lost = net(x[None])[0, target] - net((x * (1 - mask))[None])[0, target]
            weight = {"plus": behind, "minus": lost.relu(), "both": (behind + lost).relu()}[objective]
            layer = layer + weight * channel
        layer = layer.relu()
        if map_ is None:
            map_ = layer
        else:
            around = _resize(_resize(layer, len(map_)), len(layer))
            map_ = torch.where(around > 0, layer / around, 0.0) * _resize(map_, len(layer))
    assert map_ is not None
    return map_.float()


@pytest.mark.parametrize("objective", ["plus", "minus", "both"])
def test_maps_of_all_stages_are_multiplied(net: nn.Module, objective: str) -> None:
    x = images(2)
    expected = torch.stack(
        [torch.stack([_naive(net, x[i], target, objective) for target in TARGETS[i]]) for i in range(2)]
    )
    found = explain(net, x, TARGETS, "poly-cam", objective=objective)
    assert found.layers == tuple(STAGES)
    assert (expected > 0).any()
    torch.testing.assert_close(found.maps, expected, rtol=1e-4, atol=1e-6)


def test_the_order_of_named_layers_does_not_matter(net: nn.Module) -> None:
    x = images(2)
    found = explain(net, x, TARGETS, "poly-cam", STAGES[::-1])
    torch.testing.assert_close(found.maps, explain(net, x, TARGETS, "poly-cam").maps)


def test_fewer_channels_take_fewer_forwards(net: nn.Module) -> None:
    rows: list[int] = []
    explain(net, images(1), [0], "poly-cam")  # the layers' choice is remembered
    handle = net.register_forward_hook(lambda _m, given, _o: rows.append(len(given[0])))
    explain(net, images(1), [0], "poly-cam", max_channels=3)
    handle.remove()
    assert sum(rows) == 1 + 3 * 2 * 3
