"""Shapley-CAM against full Hessians in float64."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency import explain, normalize, upsample
from tests.nets import CurvedHead, images, make


def _net() -> CurvedHead:
    net, _ = make("curved head")
    assert isinstance(net, CurvedHead)
    return net


def _expected(rest: nn.Module, activation: Tensor, target: int) -> Tensor:
    """The map of one activation ``[C, h, w]``."""

    def score(flat: Tensor) -> Tensor:
        return rest(flat.view(1, *activation.shape))[0, target]

    flat = activation.flatten()
    gradient = torch.autograd.functional.jacobian(score, flat, vectorize=True)
    hessian = torch.autograd.functional.hessian(score, flat, vectorize=True)
    assert hessian.abs().max() > 1e-3
    weights = (gradient - hessian @ flat / 2).view(activation.shape).mean((1, 2))
    return torch.einsum("k,khw->hw", weights, activation).clamp_min(0).float()


def test_weights_are_gradients_less_half_the_hessians_product() -> None:
    net, x = _net(), images(2) * 3
    targets = [[0, 2, 1], [1, 0, 2]]
    found = explain(net, x, targets, "shapley-cam", "trunk").maps
    plain = explain(net, x, targets, "grad-cam", "trunk").maps
    assert (found - plain).abs().max() > 0.05 * plain.max()
    for i, row in enumerate(targets):
        for k, target in enumerate(row):
            expected = _expected(nn.Sequential(net.body, net.head), net.trunk(x)[i].detach(), target)
            torch.testing.assert_close(found[i, k], expected, rtol=1e-4, atol=1e-7)


def test_each_of_several_layers_has_its_own_curvature() -> None:
    net, x = _net(), images(1) * 3
    fused = explain(net, x, [0], "shapley-cam", ["trunk", "body"], fusion="product").maps[0]
    first = normalize(_expected(nn.Sequential(net.body, net.head), net.trunk(x)[0].detach(), 0))
    second = normalize(_expected(net.head, net.body(net.trunk(x))[0].detach(), 0))
    torch.testing.assert_close(fused, first * upsample(second[None], (5, 5))[0], rtol=1e-4, atol=1e-6)


def test_fused_attention_has_curvature_too() -> None:
    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            tokens = x.flatten(2).mT[:, None]
            return F.scaled_dot_product_attention(tokens, 2 * tokens, tokens)[:, 0]

    with torch.random.fork_rng():
        torch.manual_seed(0)
        rest = nn.Sequential(Attention(), nn.Flatten(), nn.Linear(128, 3)).double()
        net = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), rest).double().eval()
    x = images(1)
    found = explain(net, x, [[0, 2]], "shapley-cam", "0").maps[0]
    for k, target in enumerate([0, 2]):
        # By hand, as the fused kernel has no second derivative.
        by_hand = nn.Sequential(_WrittenOut(), *list(rest)[1:])
        expected = _expected(by_hand, net[0](x)[0].detach(), target)
        torch.testing.assert_close(found[k], expected, rtol=1e-4, atol=1e-7)
        alone = explain(net, x, [target], "shapley-cam", "0").maps[0]
        torch.testing.assert_close(alone, expected, rtol=1e-4, atol=1e-7)


class _WrittenOut(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).mT
        return torch.softmax(tokens @ (2 * tokens).mT / 8**0.5, -1) @ tokens


def test_piecewise_linear_heads_give_grad_cam() -> None:
    for kind in ("gap head", "flat head", "residual", "in place"):
        net, layer = make(kind)
        x = images(2)
        expected = explain(net, x, [[0, 1], [2, 3]], "grad-cam", layer).maps
        torch.testing.assert_close(explain(net, x, [[0, 1], [2, 3]], "shapley-cam", layer).maps, expected)
