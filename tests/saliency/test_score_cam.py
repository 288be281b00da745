"""Values of the Score-CAM family against naive loops, and what they cost."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency import explain
from tests.nets import images, make

CLASSES = [[1, 3], [0, 2]]
KINDS = {"gap head": "trunk", "flat head": "features", "residual": "blocks"}


def _activation(net: nn.Module, layer: str, x: Tensor) -> Tensor:
    kept: list[Tensor] = []
    handle = net.get_submodule(layer).register_forward_hook(lambda _m, _i, out: kept.append(out.detach().clone()))
    with torch.no_grad():
        net(x)
    handle.remove()
    return kept[0]


def _mask(channel: Tensor) -> Tensor:
    """``[h, w]`` to ``[16, 16]``."""
    up = F.interpolate(channel[None, None], size=(16, 16), mode="bilinear")[0, 0]
    if channel.max() == channel.min():
        return torch.zeros_like(up)
    return (up - up.min()) / (up.max() - up.min())


@torch.no_grad()
def _naive(net: nn.Module, layer: str, x: Tensor, versions: list[Callable[[Tensor], Tensor]]) -> Tensor:
    """One image, channel and version at a time, in float64."""
    maps = []
    for image, activation, targets in zip(x, _activation(net, layer, x), CLASSES, strict=True):
        scores = torch.stack(
            [
                torch.stack([net((image * version(_mask(channel)))[None])[0] for version in versions]).mean(0)
                for channel in activation
            ]
        )
        weights = scores[:, targets].softmax(0)
        maps.append(torch.stack([(weights[:, k, None, None] * activation).sum(0) for k in range(len(targets))]))
    return torch.stack(maps).clamp_min(0).float()


@pytest.mark.parametrize("kind", KINDS)
def test_score_cam(kind: str) -> None:
    net, _ = make(kind)
    x = images(2)
    found = explain(net, x, CLASSES, "score-cam", KINDS[kind])
    torch.testing.assert_close(found.maps, _naive(net, KINDS[kind], x, [lambda mask: mask]), rtol=1e-4, atol=1e-6)


def test_ss_cam_averages_over_noise_that_all_channels_share() -> None:
    net, layer = make("flat head")
    x = images(2)
    generator = torch.Generator().manual_seed(7)
    draws = [0.5 * torch.randn(16, 16, generator=generator) for _ in range(3)]
    expected = _naive(net, layer, x, [partial(torch.add, other=draw) for draw in draws])
    found = explain(net, x, CLASSES, "ss-cam", layer, samples=3, noise=0.5, seed=7)
    torch.testing.assert_close(found.maps, expected, rtol=1e-4, atol=1e-6)
    other = explain(net, x, CLASSES, "ss-cam", layer, samples=3, noise=0.5, seed=8)
    assert not torch.allclose(other.maps, found.maps)


def test_ss_cam_without_noise_is_score_cam() -> None:
    net, layer = make("flat head")
    x = images(2)
    found = explain(net, x, CLASSES, "ss-cam", layer, samples=2, noise=0.0)
    torch.testing.assert_close(found.maps, explain(net, x, CLASSES, "score-cam", layer).maps)


def test_is_cam_averages_over_the_way_from_black() -> None:
    net, layer = make("flat head")
    x = images(2)
    expected = _naive(net, layer, x, [partial(torch.mul, other=i / 4) for i in range(1, 5)])
    found = explain(net, x, CLASSES, "is-cam", layer, samples=4)
    torch.testing.assert_close(found.maps, expected, rtol=1e-4, atol=1e-6)
    once = explain(net, x, CLASSES, "is-cam", layer, samples=1)
    torch.testing.assert_close(once.maps, explain(net, x, CLASSES, "score-cam", layer).maps)


def test_any_baseline_cancels() -> None:
    net, layer = make("flat head")
    x = images(2)
    before = explain(net, x, CLASSES, "score-cam", layer).maps
    net.head[-1].bias.data.add_(3.0)
    torch.testing.assert_close(explain(net, x, CLASSES, "score-cam", layer).maps, before)


def test_max_channels_keeps_the_strongest_of_each_image() -> None:
    net, layer = make("gap head")
    x = images(2)
    activation = net.trunk(x).detach()
    order = (activation**2).sum((2, 3)).argsort(1, descending=True)[:, :4]
    maps = []
    for i in range(2):
        chosen = activation[i][order[i]]
        scores = torch.stack([net((x[i] * _mask(channel))[None])[0].detach() for channel in chosen])
        weights = scores[:, CLASSES[i]].softmax(0)
        maps.append(torch.stack([(weights[:, k, None, None] * chosen).sum(0) for k in range(2)]))
    found = explain(net, x, CLASSES, "score-cam", layer, max_channels=4)
    torch.testing.assert_close(found.maps, torch.stack(maps).float(), rtol=1e-4, atol=1e-6)
    everything = explain(net, x, CLASSES, "score-cam", layer)
    torch.testing.assert_close(explain(net, x, CLASSES, "score-cam", layer, max_channels=99).maps, everything.maps)


def test_dead_channels_share_one_forward_and_targets_share_all() -> None:
    net, layer = make("gap head")
    with torch.no_grad():
        net.trunk[2].weight[4:9] = 0
        net.trunk[2].bias[4:9] = torch.tensor([-1.0, -2.0, 0.0, 0.3, 0.7])  # after the ReLU 0, 0, 0, 0.3 and 0.7
    x = images(2)
    flat = (net.trunk(x).amax((2, 3)) == net.trunk(x).amin((2, 3))).sum(1)
    assert (flat >= 5).all()
    explain(net, x, CLASSES, "score-cam", layer)  # looks at the model
    rows: list[int] = []
    handle = net.register_forward_hook(lambda _m, given, _o: rows.append(len(given[0])))
    found = explain(net, x, CLASSES, "score-cam", layer)
    handle.remove()
    masked = [count for count in rows if count != 2]
    assert sum(masked) == (12 - flat + 1).sum()
    torch.testing.assert_close(found.maps, _naive(net, layer, x, [lambda mask: mask]), rtol=1e-4, atol=1e-6)


def test_a_flat_channel_makes_no_mask_of_rounding() -> None:
    # 0.1 upsampled is not everywhere 0.1 in float32; normalising that would make a mask of noise.
    net, layer = make("gap head")
    with torch.no_grad():
        net.trunk[2].weight.zero_()
        net.trunk[2].bias.fill_(0.1)
        net.trunk[2].weight[0] = 1.0
    x = images(2)
    found = explain(net.float(), x.float(), CLASSES, "score-cam", layer)
    expected = _naive(net.double(), layer, x, [lambda mask: mask])
    torch.testing.assert_close(found.maps, expected, rtol=1e-3, atol=1e-5)
