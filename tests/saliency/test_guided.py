"""Guided backpropagation and its kin against a backward pass written by hand."""

import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency import explain, method, methods, upsample
from tests.nets import CLASSES, images, make

TARGETS = [[1, 3], [0, 2]]

RELUS: dict[str, Callable[[Tensor], Tensor]] = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "function": F.relu,
    "function in place": lambda x: F.relu(x, inplace=True),
    "function in place by position": lambda x: F.relu(x, True),
    "in-place function": F.relu_,
    "torch": torch.relu,
    "torch in place": torch.relu_,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
}


class _TwoLayers(nn.Module):
    def __init__(self, relu: Callable[[Tensor], Tensor], *, discard: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(3 * 16 * 16, 30)
        self.second = nn.Linear(30, 20)
        self.third = nn.Linear(20, CLASSES)
        self.relu = relu
        self.discard = discard

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.first, self.second):
            x = layer(x.flatten(1))
            active = self.relu(x)
            x = x if self.discard else active
        return self.third(x)


RULES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "guided-backprop": lambda g, a: g * (g > 0) * (a > 0),
    "deconvolution": lambda g, a: g * (g > 0),
    "input-gradient": lambda g, a: g * (a > 0),
}


@torch.no_grad()
def _by_hand(net: nn.Module, x: Tensor, rule: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """``[2, 2, 3, 16, 16]``."""
    gradients = []
    for image, row in zip(x, TARGETS, strict=True):
        first = net.first(image.flatten()).clamp_min(0)
        second = net.second(first).clamp_min(0)
        for target in row:
            g = rule(net.third.weight[target], second)
            g = rule(g @ net.second.weight, first)
            gradients.append((g @ net.first.weight).reshape(3, 16, 16))
    return torch.stack(gradients).reshape(2, 2, 3, 16, 16)


def _net(relu: Callable[[Tensor], Tensor] = F.relu, *, discard: bool = False) -> nn.Module:
    torch.manual_seed(0)
    return _TwoLayers(relu, discard=discard).double().eval()


@pytest.mark.parametrize("how", RELUS)
@pytest.mark.parametrize("name", RULES)
def test_the_rule_holds_at_every_relu_however_it_is_called(name: str, how: str) -> None:
    net = _net(RELUS[how])
    x = images(2)
    found = explain(net, x, TARGETS, name)
    torch.testing.assert_close(found.maps, _by_hand(net, x, RULES[name]).abs().amax(2).float())
    torch.testing.assert_close(found.outputs, net(x).detach())


def test_a_relu_in_place_whose_result_is_discarded() -> None:
    net = _net(RELUS["method in place"], discard=True)
    x = images(2)
    found = explain(net, x, TARGETS, "guided-backprop")
    torch.testing.assert_close(found.maps, _by_hand(net, x, RULES["guided-backprop"]).abs().amax(2).float())


def test_other_activations_keep_their_gradient() -> None:
    net, _ = make("curved head")
    x = images(2)
    expected = explain(net, x, TARGETS, "input-gradient").maps
    for name in ("guided-backprop", "deconvolution"):
        torch.testing.assert_close(explain(net, x, TARGETS, name).maps, expected)


def test_guided_grad_cam_is_the_product() -> None:
    net, layer = make("residual")
    x = images(2)
    pixels = explain(net, x, TARGETS, "guided-backprop").maps
    coarse = upsample(explain(net, x, TARGETS, "grad-cam", layer).maps, (16, 16))
    found = explain(net, x, TARGETS, "guided-grad-cam", layer)
    assert found.layers == (layer,)
    torch.testing.assert_close(found.maps, pixels * coarse)


def test_the_rule_is_gone_afterwards_and_in_other_threads() -> None:
    net = _net()
    x = images(2)
    ruled = explain(net, x, TARGETS, "guided-backprop").maps
    plain = explain(net, x, TARGETS, "input-gradient").maps
    assert not torch.allclose(ruled, plain)
    wrong: list[object] = []

    def work(name: str, expected: Tensor) -> None:
        wrong.extend(name for _ in range(20) if not torch.equal(explain(net, x, TARGETS, name).maps, expected))

    jobs = [("guided-backprop", ruled), ("input-gradient", plain)] * 4
    threads = [threading.Thread(target=work, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_methods_that_fail_sanity_checks_say_so() -> None:
    failing = {"guided-backprop", "deconvolution", "guided-grad-cam"}
    assert {cls.id for cls in methods() if cls.sanity_failing} == failing
    assert not method("input-gradient").sanity_failing
