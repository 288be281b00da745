"""Values of Grad-CAM++, Smooth Grad-CAM++ and RefineCAM against closed forms in float64."""

import torch
from torch import Tensor

from saliency import explain, normalize, upsample
from tests.nets import FlatHead, images, make


def _net() -> FlatHead:
    net, _ = make("flat head")
    assert isinstance(net, FlatHead)
    return net


def _gradient(net: FlatHead, activation: Tensor, target: int) -> Tensor:
    """``∂y/∂A`` for one image, ``[C, h, w]``."""
    return torch.autograd.functional.jacobian(lambda a: net.head(a.flatten())[target], activation)


def _map(weights: Tensor, activation: Tensor) -> Tensor:
    return (weights[:, None, None] * activation).sum(0).clamp_min(0).float()


def test_grad_cam_plus_plus_is_equation_19() -> None:
    net, x = _net(), images(2)
    found = explain(net, x, [1, 3], "grad-cam++", "features").maps
    for i, target in enumerate([1, 3]):
        activation = net.features(x)[i].detach()
        gradient = _gradient(net, activation, target)
        weights, of_torchcam = torch.zeros(8).double(), torch.zeros(8).double()
        for k in range(8):
            for a, g in zip(activation[k].flatten(), gradient[k].flatten(), strict=True):
                assert a >= 0
                alpha = g**2 / (2 * g**2 + activation[k].sum() * g**3) if g != 0 else 0.0
                weights[k] += alpha * max(g, 0)
                of_torchcam[k] += g**2 * max(g, 0)  # as TorchCAM 0.5 computes it: the division is lost
        expected = _map(weights, activation)
        torch.testing.assert_close(found[i], expected)
        assert (normalize(_map(of_torchcam, activation)) - normalize(expected)).abs().max() > 0.05


def test_grad_cam_plus_plus_is_derived_for_the_exponential_of_the_score() -> None:
    net, x, target = _net(), images(1), 2
    activation = net.features(x)[0].detach()
    weights = torch.zeros(8).double()
    for k in range(8):
        for cell in range(16):
            step = torch.zeros((), dtype=torch.float64, requires_grad=True)
            place = torch.zeros(8, 16).double()
            place[k, cell] = 1.0
            derivative = net.head((activation + step * place.view(8, 4, 4)).flatten())[target].exp()
            derivatives = []
            for _ in range(3):
                (derivative,) = torch.autograd.grad(derivative, step, create_graph=True)
                derivatives.append(derivative.item())
            first, second, third = derivatives
            if first > 0:
                weights[k] += first * second / (2 * second + activation[k].sum().item() * third)
    found = explain(net, x, [target], "grad-cam++", "features").maps[0]
    torch.testing.assert_close(found / found.max(), _map(weights, activation) / _map(weights, activation).max())


def test_negative_sums_count_as_zero() -> None:
    net, layer = make("in place")
    x = images(1)
    kept: list[Tensor] = []
    handle = net.get_submodule(layer).register_forward_hook(lambda _m, _i, out: kept.append(out.detach().clone()))
    net(x)
    handle.remove()
    activation = kept[0][0]
    totals = activation.sum((1, 2))
    assert (totals < 0).any()
    stem = net.stem(x)

    def rest(a: Tensor) -> Tensor:
        return net.head(net.blocks[1](torch.relu(a + stem)).mean((2, 3)))[0, 2]

    positive = torch.autograd.functional.jacobian(rest, kept[0])[0].clamp_min(0)
    weights = (positive / (2 + totals.clamp_min(0)[:, None, None] * positive)).sum((1, 2))
    torch.testing.assert_close(explain(net, x, [2], "grad-cam++", layer).maps[0], _map(weights, activation))


def test_smooth_grad_cam_plus_plus_averages_powers_of_gradients() -> None:
    net, x, samples, noise = _net(), images(2), 37, 0.3
    found = explain(net, x, [1, 3], "smooth-grad-cam++", "features", samples=samples, noise=noise, seed=5).maps
    generator = torch.Generator().manual_seed(5)
    draws = [torch.randn(3, 16, 16, generator=generator).double() for _ in range(samples)]
    for i, target in enumerate([1, 3]):
        width = noise * (x[i].max() - x[i].min())
        gradients = [_gradient(net, net.features(x[i] + width * draw).detach(), target) for draw in draws]
        first, second, third = (torch.stack([g**power for g in gradients]).mean(0) for power in (1, 2, 3))
        activation = net.features(x)[i].detach()
        total = activation.sum((1, 2))[:, None, None]
        alpha = torch.where(second > 0, second / (2 * second + total * third.clamp_min(0)), 0.0)
        weights = (alpha * first.clamp_min(0)).sum((1, 2))
        torch.testing.assert_close(found[i], _map(weights, activation), rtol=1e-4, atol=1e-6)


def test_without_noise_the_smooth_one_is_grad_cam_plus_plus() -> None:
    net, x = _net(), images(2)
    plain = explain(net, x, [0, 4], "grad-cam++", "features").maps
    found = explain(net, x, [0, 4], "smooth-grad-cam++", "features", noise=0.0, samples=3).maps
    torch.testing.assert_close(found, plain)


def test_the_seed_says_which_noise() -> None:
    net, x = _net(), images(1)
    one, again, two = (
        explain(net, x, [0], "smooth-grad-cam++", "features", seed=seed, samples=2).maps for seed in (1, 1, 2)
    )
    assert one.equal(again)
    assert not one.equal(two)


def test_refine_cam_multiplies_the_last_layers_of_all_resolutions() -> None:
    net, x = _net(), images(2)
    found = explain(net, x, [1, 3], "refine-cam")
    assert found.layers == ("features.1", "features")
    fine, coarse = (normalize(explain(net, x, [1, 3], "grad-cam++", layer).maps) for layer in found.layers)
    torch.testing.assert_close(found.maps, fine * upsample(coarse, (8, 8)))
    named = explain(net, x, [1, 3], "refine-cam", ["features", "features.0"])
    assert named.layers == ("features", "features.0")
