"""Excitation backprop: closed forms of its maps, what becomes of the mass, and what it refuses."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from saliency import Counter, UnsuitableError, explain
from saliency.choice import resolve
from saliency.excitation import forward
from saliency.families.excitation_backprop import ContrastiveExcitationBackprop
from saliency.targets import Contrast, Targets
from tests.nets import CLASSES, images, make

pytestmark = pytest.mark.usefixtures("one_core")

MWP, C_MWP = "excitation-backprop", "contrastive-excitation-backprop"


STRUCTURES: dict[str, tuple[Callable[..., nn.Module], list[str]]] = {
    "resnet18": (models.resnet18, ["maxpool", "layer1", "layer2.0", "layer3", "layer4"]),
    "resnet50": (models.resnet50, ["layer2", "layer3", "layer4.2"]),
    "googlenet": (models.googlenet, ["inception3a", "inception4c", "inception5b"]),
    "vgg16_bn": (models.vgg16_bn, ["features.33", "features.43"]),
    "densenet121": (models.densenet121, ["features.denseblock3", "features.transition3", "features.norm5"]),
    "mobilenet_v2": (models.mobilenet_v2, ["features.13", "features.18"]),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_every_layer_has_all_mass(name: str) -> None:
    build, layers = STRUCTURES[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = build(**({"init_weights": False} if name == "googlenet" else {})).eval()
    x = images(1).float().repeat(1, 1, 4, 4)
    run = forward(net, x, resolve(net, layers, x))
    for mass in run.gradients(Targets.parse([7], 1).resolve(run.outputs).score):
        assert (mass >= 0).all()
        torch.testing.assert_close(mass.sum(), torch.tensor(1.0), rtol=0, atol=1e-4)
    for mass in ContrastiveExcitationBackprop().mass(run, Targets.parse([7], 1).resolve(run.outputs)):
        torch.testing.assert_close(mass.sum(), torch.tensor(0.0), rtol=0, atol=1e-4)


def test_mass_goes_around_a_layer_beside_a_shortcut() -> None:
    net, _ = make("residual")
    whole = explain(net, images(1), [1], MWP, "blocks.0").maps.sum()
    beside = explain(net, images(1), [1], MWP, "blocks.1.norm").maps.sum()
    assert 0 < beside < whole
    torch.testing.assert_close(whole, torch.tensor(1.0))


def test_a_neuron_that_only_its_bias_excites_loses_its_mass() -> None:
    net, layer = make("gap head")
    net.head.weight.data[2].abs_().neg_()
    net.head.bias.data.fill_(100.0)
    assert (explain(net, images(1), [2], MWP, layer).maps == 0).all()


class TestTheLastMaps:
    """Closed forms for a global average A of Z cells and one linear layer: ``p = w⁺ A / Σ w⁺ A``."""

    net, layer = make("gap head")

    def _mass(self, weights: Tensor) -> Tensor:
        excitation = torch.einsum("c,bchw->bhw", weights.clamp_min(0), self.net.trunk(images(2))).detach()
        return (excitation / excitation.sum((1, 2), keepdim=True)).float()

    def test_a_class(self) -> None:
        found = explain(self.net, images(2), [3, 3], MWP, self.layer).maps
        torch.testing.assert_close(found, self._mass(self.net.head.weight[3]))

    def test_the_dual_unit_has_the_weights_negated(self) -> None:
        found = explain(self.net, images(2), [Counter(3), Counter(3)], MWP, self.layer).maps
        torch.testing.assert_close(found, self._mass(-self.net.head.weight[3]))

    def test_a_class_against_others(self) -> None:
        found = explain(self.net, images(2), [Contrast(3, (0, 1))] * 2, MWP, self.layer).maps
        first, second = (self._mass(-self.net.head.weight[c]) for c in (0, 1))
        torch.testing.assert_close(found, self._mass(self.net.head.weight[3]) + (first + second) / 2)

    def test_the_contrastive_map_is_the_clipped_difference(self) -> None:
        found = explain(self.net, images(2), [3, 3], C_MWP, self.layer).maps
        difference = self._mass(self.net.head.weight[3]) - self._mass(-self.net.head.weight[3])
        torch.testing.assert_close(found, difference.relu())


@pytest.mark.parametrize("kind", ["gap head", "flat head", "residual", "in place"])
def test_contrast_is_antisymmetric_before_it_is_clipped(kind: str) -> None:
    net, layer = make(kind)
    run = forward(net, images(2), resolve(net, layer, images(2)))
    method = ContrastiveExcitationBackprop()
    (mass,) = method.mass(run, Targets.parse([1, 4], 2))
    (negated,) = method.mass(run, Targets.parse([Counter(1), Counter(4)], 2))
    assert (mass != 0).any()
    torch.testing.assert_close(mass, -negated, rtol=0, atol=0)


def test_several_layers_give_what_each_gives() -> None:
    net, _ = make("residual")
    names = ["blocks.0", "blocks.1"]
    run = forward(net, images(2), resolve(net, names, images(2)))
    together = run.gradients(Targets.parse([1, 4], 2).score)
    for name, mass in zip(names, together, strict=True):
        alone = explain(net, images(2), [1, 4], MWP, name).maps
        torch.testing.assert_close(mass.sum(2)[:, 0].float(), alone)


class _Own(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * 2


STRANGE: dict[str, Callable[[Tensor], Tensor]] = {
    "Gelu": F.gelu,
    "Softmax": lambda x: x.softmax(1),
    "Mul": lambda x: x * x.mean(),
    "NativeLayerNorm": lambda x: F.layer_norm(x, x.shape[1:]),
    "_Own": _Own.apply,
    "Add": lambda x: torch.add(x, x, alpha=2),
}


@pytest.mark.parametrize("method", [MWP, C_MWP])
@pytest.mark.parametrize("name", STRANGE)
def test_an_operation_without_a_rule_is_named(name: str, method: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.last, self.head = nn.Conv2d(3, 4, 2), nn.Conv2d(4, 4, 2), nn.Linear(4, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.last(STRANGE[name](self.trunk(x))).mean((2, 3)))

    torch.manual_seed(0)
    net = Net().double().eval()
    net.last.bias.data.fill_(10.0)
    with pytest.raises(UnsuitableError, match=f"^{method} does not work on this model: .* operation {name} "):
        explain(net, images(1), [0], method, "trunk")
    assert (explain(net, images(1), [0], method, "last").maps > 0).any()  # below the layer it does not matter
