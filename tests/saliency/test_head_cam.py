"""Values of Ablation-CAM and Recipro-CAM against closed forms and naive loops."""

from itertools import product

import pytest
import torch
from torch import Tensor

from saliency import Counter, WarningKind, explain
from tests.nets import images, make

TARGETS = [[1, 3], [0, 2]]


def test_ablation_on_a_gap_head_is_the_class_weight_times_the_mean_over_the_score() -> None:
    net, layer = make("gap head")
    x = images(2)
    with torch.no_grad():
        activation, scores = net.trunk(x), net(x)
    maps = []
    for i, row in enumerate(TARGETS):
        means = activation[i].mean((1, 2))
        maps.append(
            torch.stack(
                [((net.head.weight[c] * means / scores[i, c].abs())[:, None, None] * activation[i]).sum(0) for c in row]
            )
        )
    expected = torch.stack(maps).detach().clamp_min(0).float()
    torch.testing.assert_close(explain(net, x, TARGETS, "ablation-cam", layer).maps, expected, rtol=1e-4, atol=1e-6)


def test_ablation_keeps_its_sign_where_the_score_is_negative() -> None:
    net, layer = make("gap head")
    x = images(2)
    net.head.weight.data.abs_()
    net.head.bias.data.fill_(-100.0)
    found = explain(net, x, [0, 1], "ablation-cam", layer)
    assert (found.scores < 0).all()
    assert (found.maps.amax((1, 2)) > 0).all()  # all channels speak for the class
    against = explain(net, x, [Counter(0), Counter(1)], "ablation-cam", layer)
    assert [w.kind for w in against.warnings] == [WarningKind.ALL_NEGATIVE] * 2


@pytest.mark.parametrize("kind", ["flat head", "residual", "curved head", "in place", "tokens"])
def test_ablation_by_a_naive_loop(kind: str) -> None:
    net, name = make(kind)
    x = images(2)
    layer = net.get_submodule(name)
    kept: list[Tensor] = []
    with torch.no_grad():
        handle = layer.register_forward_hook(lambda _m, _i, out: kept.append(out.clone()))
        plain = net(x)
        handle.remove()
        rows = _spatial(kind, kept[0])
        maps = torch.zeros(2, 2, *rows.shape[-2:], dtype=torch.float64)
        for channel in range(rows.shape[1]):

            def ablate(_m: object, _i: object, out: Tensor, channel: int = channel) -> Tensor:
                own = out.clone()
                _spatial(kind, own)[:, channel] = 0
                return own

            handle = layer.register_forward_hook(ablate)
            without = net(x)
            handle.remove()
            for i, row in enumerate(TARGETS):
                weights = (plain[i, row] - without[i, row]) / plain[i, row].abs()
                maps[i] += weights[:, None, None] * rows[i, channel]
    found = explain(net, x, TARGETS, "ablation-cam", name)
    torch.testing.assert_close(found.maps, maps.clamp_min(0).float(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["gap head", "flat head", "curved head", "in place", "tokens"])
def test_recipro_by_a_naive_loop(kind: str) -> None:
    net, name = make(kind)
    x = images(2)
    layer = net.get_submodule(name)
    bell = {-1: 1.0, 0: 2.0, 1: 1.0}
    kept: list[Tensor] = []
    with torch.no_grad():
        handle = layer.register_forward_hook(lambda _m, _i, out: kept.append(out.clone()))
        net(x)
        handle.remove()
        height, width = _spatial(kind, kept[0]).shape[-2:]
        expected = torch.zeros(2, 2, height, width, dtype=torch.float64)
        for i in range(height):
            for j in range(width):
                mask = torch.zeros(height, width, dtype=torch.float64)
                for di, dj in product(bell, bell):
                    if 0 <= i + di < height and 0 <= j + dj < width:
                        mask[i + di, j + dj] = bell[di] * bell[dj]
                mask /= mask.sum()

                def keep(_m: object, _i: object, out: Tensor, mask: Tensor = mask) -> Tensor:
                    own = out.clone()
                    _spatial(kind, own).mul_(mask)
                    return own

                handle = layer.register_forward_hook(keep)
                scores = net(x)
                handle.remove()
                for image, row in enumerate(TARGETS):
                    expected[image, :, i, j] = scores[image, row]
    found = explain(net, x, TARGETS, "recipro-cam", name)
    torch.testing.assert_close(found.maps, expected.float(), rtol=1e-4, atol=1e-6)


def test_recipro_on_a_gap_head_is_the_smoothed_class_map() -> None:
    # y = W mean(A ⊙ G) + b, so away from the border the map is CAM under the Gaussian, over the cells, plus b.
    net, layer = make("gap head")
    x = images(1)
    with torch.no_grad():
        cam = (net.head.weight[2, :, None, None] * net.trunk(x)[0]).sum(0)
    bell = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    kernel = torch.outer(bell, bell)[None, None] / 16
    expected = torch.conv2d(cam[None, None], kernel)[0, 0] / cam.numel() + net.head.bias[2].detach()
    found = explain(net, x, [2], "recipro-cam", layer).maps[0]
    torch.testing.assert_close(found[1:-1, 1:-1], expected.float(), rtol=1e-4, atol=1e-6)


def _spatial(kind: str, values: Tensor) -> Tensor:
    """``[B, C, h, w]``; of the tokens, a view of those after the class token."""
    if kind != "tokens":
        return values
    return values[:, 1:].view(len(values), 4, 4, -1).permute(0, 3, 1, 2)
