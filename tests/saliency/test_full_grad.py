"""FullGrad: completeness, and its map against its definition in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency import explain
from saliency.families.full_grad import biased_forward
from saliency.registry import Problem
from saliency.targets import Targets
from tests.nets import images, make

RELU_NETS = ["gap head", "flat head", "residual"]


@pytest.mark.parametrize("kind", RELU_NETS)
def test_the_terms_sum_to_the_score(kind: str) -> None:
    net, _ = make(kind)
    x = images(3)
    run = biased_forward(Problem(net, x, Targets.parse([0, 1, 2], 3), ()))
    for target in range(5):
        row = torch.eye(5).double()[target]
        terms = run.terms(run.outputs.sum(0), row)
        total = sum(term.flatten(1).sum(1) for term in terms)
        torch.testing.assert_close(total, net(x)[:, target].detach(), rtol=1e-10, atol=1e-10)


def _places_of_biases(net: nn.Module, x: Tensor, target: int) -> list[tuple[Tensor, Tensor]]:
    """Each layer's bias ``[C]``, found as its answer to a blank, and the score's gradient in each place of it."""
    found: list[tuple[nn.Module, Tensor]] = []

    def add(module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        zeros = torch.zeros_like(output).requires_grad_()
        found.append((module, zeros))
        return output + zeros

    biased = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    handles = [module.register_forward_hook(add) for module in biased]
    score = net(x)[0, target]
    for handle in handles:
        handle.remove()
    gradients = torch.autograd.grad(score, [zeros for _, zeros in found])
    blanks = [
        torch.zeros(1, m.weight.shape[1] if isinstance(m, nn.Conv2d) else m.weight.numel(), 8, 8) for m, _ in found
    ]
    biases = [module(blank.double())[0, :, 0, 0] for (module, _), blank in zip(found, blanks, strict=True)]
    return [(bias.detach(), gradient[0]) for bias, gradient in zip(biases, gradients, strict=True)]


@pytest.mark.parametrize("kind", RELU_NETS)
def test_the_map_sums_normalised_terms(kind: str) -> None:
    net, _ = make(kind)
    x = images(2)
    found = explain(net, x, [1, 4], "full-grad").maps
    for i, target in enumerate([1, 4]):
        image = x[i : i + 1].clone().requires_grad_()
        (slope,) = torch.autograd.grad(net(image)[0, target], image)
        terms = [(image * slope)[0].detach()]
        terms += [bias[:, None, None] * g for bias, g in _places_of_biases(net, x[i : i + 1], target)]
        expected = torch.zeros(16, 16).double()
        for term in terms:
            size = term.abs()
            if size.max() > size.min():
                psi = (size - size.min()) / (size.max() - size.min())
                expected += F.interpolate(psi[None], size=(16, 16), mode="bilinear").sum((0, 1))
        torch.testing.assert_close(found[i], expected.float(), rtol=1e-4, atol=1e-5)


def test_it_reads_the_whole_model_whatever_layer_is_named() -> None:
    net, layer = make("residual")
    x = images(1)
    named, free = explain(net, x, [0], "full-grad", layer), explain(net, x, [0], "full-grad")
    assert named.layers == free.layers == ()
    assert named.maps.equal(free.maps)
    assert free.maps.shape == (1, 16, 16)


def test_linear_layers_on_channels_last_have_a_place_in_the_image() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(3, 5)
            self.head = nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.mix(x.permute(0, 2, 3, 1)).relu().mean((1, 2)))

    net, x = Last().double().eval(), images(1)
    run = biased_forward(Problem(net, x, Targets.parse([0], 1), ()))
    terms = run.terms(run.outputs.sum(0), torch.tensor([1.0, 0.0]).double())
    assert [tuple(term.shape) for term in terms] == [(1, 3, 16, 16), (1, 5, 16, 16), (1, 2)]
    torch.testing.assert_close(sum(term.sum() for term in terms), net(x)[0, 0].detach())


def test_a_bias_that_the_image_does_not_reach_has_no_place_in_it() -> None:
    class Asked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Conv2d(3, 4, 3)
            self.ask = nn.Linear(2, 4)

        def forward(self, pixels: Tensor, question: Tensor) -> Tensor:
            return self.mix(pixels).relu().mean((2, 3)) * self.ask(question)

    net = Asked().double().eval().requires_grad_(False)
    inputs = {"pixels": images(2), "question": torch.tensor([[1.0, 2.0], [3.0, 4.0]]).double()}
    run = biased_forward(Problem(net, inputs, Targets.parse([0, 1], 2), ()))
    assert [tuple(layer.output.shape) for layer in run.biased] == [(2, 4, 14, 14)]
    assert explain(net, inputs, [0, 1], "full-grad").maps.shape == (2, 16, 16)
