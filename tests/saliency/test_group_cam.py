"""Values of Group-CAM against a naive loop."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency import explain
from saliency.blur import blur
from tests.nets import CLASSES, images, make

TARGETS = [[1, 3], [0, 2]]


class _Wide(nn.Module):
    """More channels than groups, and not a multiple."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 40, 3, stride=2, padding=1), nn.ReLU())
        self.head = nn.Linear(40, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(x).amax((2, 3)))


def _naive_blur(x: Tensor) -> Tensor:
    side = x.shape[-1]
    out = torch.zeros_like(x)
    for i in range(side):
        for j in range(side):
            weights = torch.zeros(side, side, dtype=x.dtype)
            for a in range(max(0, i - 25), min(side, i + 26)):
                for b in range(max(0, j - 25), min(side, j + 26)):
                    weights[a, b] = math.exp(-((a - i) ** 2 + (b - j) ** 2) / (2 * 50.0**2))
            out[..., i, j] = (x * weights / weights.sum()).sum((-2, -1))
    return out


def _naive(net: nn.Module, layer: str, x: Tensor, sizes: list[int]) -> Tensor:
    """One image, target and group at a time, in float64."""
    blurred = _naive_blur(x)
    maps = torch.zeros(2, 2, 1, 1, dtype=torch.float64)
    for i in range(2):
        for k, target in enumerate(TARGETS[i]):
            kept: list[Tensor] = []
            handle = net.get_submodule(layer).register_forward_hook(lambda _m, _i, out, kept=kept: kept.append(out))
            score = net(x[i : i + 1])[0, target]
            handle.remove()
            (gradient,) = torch.autograd.grad(score, kept[0])
            weighted = (gradient.mean((2, 3), keepdim=True) * kept[0]).detach()[0]
            if maps.shape[-1] == 1:
                maps = torch.zeros(2, 2, *weighted.shape[-2:], dtype=torch.float64)
            with torch.no_grad():
                baseline = net(blurred[i : i + 1])[0, target]
                for part in weighted.split(sizes):
                    group = part.sum(0).relu()
                    group = group * (group > group.flatten().quantile(0.7))
                    if group.max() == group.min():
                        continue
                    mask = (group - group.min()) / (group.max() - group.min())
                    up = F.interpolate(mask[None, None], size=(16, 16), mode="bilinear")
                    gain = net(x[i : i + 1] * up + blurred[i : i + 1] * (1 - up))[0, target] - baseline
                    maps[i, k] += gain * mask
    return maps.clamp_min(0).float()


@pytest.mark.parametrize("kind", ["gap head", "flat head", "residual"])
def test_fewer_channels_than_groups_are_a_group_each(kind: str) -> None:
    net, layer = make(kind)
    x = images(2)
    channels = {"gap head": 12}.get(kind, 8)
    found = explain(net, x, TARGETS, "group-cam", layer)
    torch.testing.assert_close(found.maps, _naive(net, layer, x, [1] * channels), rtol=1e-4, atol=1e-6)


def test_channels_are_shared_out_over_32_groups_in_order() -> None:
    torch.manual_seed(0)
    net = _Wide().double().eval()
    x = images(2)
    found = explain(net, x, TARGETS, "group-cam", "trunk")
    torch.testing.assert_close(found.maps, _naive(net, "trunk", x, [2] * 8 + [1] * 24), rtol=1e-4, atol=1e-6)
    assert (found.maps > 0).any()


def test_blurring_keeps_a_flat_image_and_the_kind_of_numbers() -> None:
    flat = torch.full((1, 3, 60, 70), 0.5)
    torch.testing.assert_close(blur(flat, 50.0, 25), flat)
    assert blur(flat.half(), 50.0, 25).dtype == torch.float16
    x = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(blur(x, 50.0, 25), _naive_blur(x))
