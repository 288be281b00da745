"""Values of gradients of the image against closed forms, and the completeness of integrated gradients."""

import pytest
import torch
from torch import Tensor, nn

from saliency import explain
from saliency.families.input_gradient import gauss_legendre
from tests.nets import CLASSES, images, make

TARGETS = [[1, 3], [0, 2]]


class _Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3 * 16 * 16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


class _Square(_Linear):
    """``y = (W x)²``, whose gradient is ``2 (W x) W``."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) ** 2


@pytest.fixture
def linear() -> nn.Module:
    torch.manual_seed(0)
    return _Linear().double().eval()


def _weights(net: nn.Module) -> Tensor:
    """``[2, 2, 3, 16, 16]``, those of the targets."""
    weights: Tensor = net.head.weight.detach().reshape(CLASSES, 3, 16, 16)
    return torch.stack([weights[row] for row in TARGETS])


def test_the_gradient_of_a_linear_model_is_its_weights(linear: nn.Module) -> None:
    found = explain(linear, images(2), TARGETS, "input-gradient")
    assert found.layers == ()
    torch.testing.assert_close(found.maps, _weights(linear).abs().amax(2).float())


def test_the_gradient_by_finite_differences() -> None:
    net, _ = make("curved head")
    x = images(1)
    step = 1e-6
    expected = torch.zeros(3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        for place in range(expected.numel()):
            move = torch.zeros(expected.numel(), dtype=torch.float64)
            move[place] = step
            move = move.reshape(1, 3, 16, 16)
            expected.view(-1)[place] = (net(x + move)[0, 2] - net(x - move)[0, 2]) / (2 * step)
    found = explain(net, x, [2], "input-gradient")
    torch.testing.assert_close(found.maps[0], expected.abs().amax(0).float(), rtol=1e-4, atol=1e-7)


def test_noise_does_not_change_the_gradient_of_a_linear_model(linear: nn.Module) -> None:
    found = explain(linear, images(2), TARGETS, "smooth-grad", samples=11, noise=0.3)
    torch.testing.assert_close(found.maps, _weights(linear).abs().amax(2).float())


def test_smooth_grad_is_the_mean_over_the_noise() -> None:
    torch.manual_seed(0)
    net = _Square().double().eval()
    x = images(2)
    generator = torch.Generator().manual_seed(5)
    draws = [torch.randn(3, 16, 16, generator=generator) for _ in range(11)]
    maps = []
    for i, row in enumerate(TARGETS):
        sigma = 0.2 * (x[i].max() - x[i].min())
        mean = torch.stack([x[i] + sigma * draw for draw in draws]).mean(0)  # the gradient is linear in x
        slopes = 2 * net.head(mean.flatten())[row]
        maps.append((slopes[:, None, None, None] * _weights(net)[i]).abs().amax(1))
    found = explain(net, x, TARGETS, "smooth-grad", samples=11, noise=0.2, seed=5)
    torch.testing.assert_close(found.maps, torch.stack(maps).detach().float())


def test_integrated_gradients_of_a_linear_model_are_image_times_weights(linear: nn.Module) -> None:
    x = images(2)
    expected = (x[:, None] * _weights(linear)).sum(2)
    for steps in (1, 9):
        found = explain(linear, x, TARGETS, "integrated-gradients", steps=steps)
        torch.testing.assert_close(found.maps, expected.float())
    assert (found.maps < 0).any()


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("curved head", 1e-5), ("tuple output", 1e-5), ("flat head", 1e-2), ("residual", 1e-2)]
)
def test_integrated_gradients_are_complete(kind: str, tolerance: float) -> None:
    # ReLU nets have kinks along the path, which no quadrature of smooth functions meets exactly.
    net, _ = make(kind)
    x = images(2)

    def scores(given: Tensor) -> Tensor:
        raw = net(given)
        return getattr(raw, "logits", raw).detach()

    rise = scores(x) - scores(torch.zeros_like(x))
    found = explain(net, x, TARGETS, "integrated-gradients", steps=64)
    expected = torch.stack([rise[i, row] for i, row in enumerate(TARGETS)]).float()
    torch.testing.assert_close(found.maps.sum((2, 3)), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("count", [1, 2, 5, 32])
def test_the_quadrature_is_exact_for_polynomials(count: int) -> None:
    points, weights = gauss_legendre(count)
    for degree in range(2 * count):
        torch.testing.assert_close((weights * points**degree).sum().item(), 1 / (degree + 1))


def test_layers_are_not_looked_for() -> None:
    torch.manual_seed(0)
    net = _Linear().double().eval()
    runs: list[int] = []
    handle = net.register_forward_hook(lambda *_: runs.append(1))
    explain(net, images(1), [0], "input-gradient", "head")
    handle.remove()
    assert len(runs) == 1
