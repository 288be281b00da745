"""How much each channel contributed, against autograd in float64 and against what the score is made of."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import saliency

IMAGES = torch.randn(3, 3, 12, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = [[0, 2], [1, 0], [3, 3]]


class Net(nn.Module):
    """Two layers to read, and a head: on the average one that is affine, or one that is not."""

    def __init__(self, *, affine: bool) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.first = nn.Conv2d(3, 5, 3, stride=2)
        self.second = nn.Conv2d(5, 6, 3)
        self.head = nn.Linear(6, 4) if affine else nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
        self.double().eval()

    def after(self, features: Tensor) -> Tensor:
        scores: Tensor = self.head(features.mean((2, 3)))
        return scores

    def forward(self, images: Tensor) -> Tensor:
        return self.after(self.second(self.first(images).relu()))


@pytest.mark.parametrize("method", ["grad-cam", "shapley-cam", "finer-cam", "group-cam", "eigen-cam", "score-cam"])
def test_are_gradient_times_activation_whatever_the_method(method: str) -> None:
    net = Net(affine=False)
    found = saliency.explain(net, IMAGES, TARGETS, method, "second", contributions=["second"])
    activation = net.second(net.first(IMAGES).relu()).detach().requires_grad_()
    outputs = net.after(activation)
    for b, row in enumerate(TARGETS):
        for k, target in enumerate(row):
            (gradient,) = torch.autograd.grad(outputs[b, target], activation, retain_graph=True)
            expected = (gradient * activation)[b].sum((1, 2))
            torch.testing.assert_close(found.contributions["second"][b, k], expected.float(), rtol=1e-5, atol=1e-6)
    assert found.contributions["second"].shape == (3, 2, 6)


def test_sum_to_the_score_less_the_bias_where_the_head_is_affine() -> None:
    net = Net(affine=True)
    found = saliency.explain(net, IMAGES, TARGETS, layers="second", contributions=["second"])
    bias = net.head.bias
    assert isinstance(bias, Tensor)
    expected = found.scores - bias[torch.tensor(TARGETS)].float()
    torch.testing.assert_close(found.contributions["second"].sum(2), expected)


def test_of_a_counterfactual_are_those_to_the_negated_score() -> None:
    net = Net(affine=False)
    plain = saliency.explain(net, IMAGES, [0, 1, 2], contributions=["second"])
    counter = saliency.explain(net, IMAGES, [saliency.Counter(c) for c in range(3)], contributions=["second"])
    torch.testing.assert_close(counter.contributions["second"], -plain.contributions["second"])
    assert plain.contributions["second"].shape == (3, 6)


def test_are_told_of_the_named_layers_that_were_read() -> None:
    net = Net(affine=False)
    both = saliency.explain(net, IMAGES, TARGETS, layers=["first", "second"], contributions=["first", "elsewhere"])
    alone = saliency.explain(net, IMAGES, TARGETS, layers="first", contributions=["first", "second"])
    assert list(both.contributions) == list(alone.contributions) == ["first"]
    torch.testing.assert_close(both.contributions["first"], alone.contributions["first"])
    assert not saliency.explain(net, IMAGES, TARGETS, layers="first").contributions


@pytest.mark.parametrize(("method", "forwards"), [("grad-cam", 0), ("layer-cam", 0), ("eigen-cam", 1)])
def test_cost_no_forward_where_the_method_has_the_gradients(
    method: str, forwards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Net(affine=False)
    runs: list[int] = []
    whole = net.forward

    def forward(images: Tensor) -> Tensor:
        runs.append(len(images))
        return whole(images)

    monkeypatch.setattr(net, "forward", forward)
    saliency.explain(net, IMAGES, TARGETS, method, "second")  # the first looks the network over
    runs.clear()
    saliency.explain(net, IMAGES, TARGETS, method, "second")
    without = len(runs)
    saliency.explain(net, IMAGES, TARGETS, method, "second", contributions=["second"])
    assert len(runs) == 2 * without + forwards


def test_cost_no_backward_where_the_method_has_the_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(affine=False)
    backwards: list[object] = []
    whole = torch.autograd.grad

    def grad(*args: Any, **kwargs: Any) -> Any:
        backwards.append(args)
        return whole(*args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", grad)
    saliency.explain(net, IMAGES, TARGETS, layers="second", contributions=["second"])
    assert len(backwards) == 1
