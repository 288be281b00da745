"""The rules of excitation backprop against its equation, written with dense matrices in float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian
from torch.nn import functional as F
from torch.nn.utils import fuse_conv_bn_eval

from saliency import explain
from tests.nets import CLASSES, images

pytestmark = pytest.mark.usefixtures("one_core")

MWP = "excitation-backprop"
TARGETS = [[1, 3], [0, 2]]


def _shared(mass: Tensor, function: Callable[[Tensor], Tensor], parents: Tensor) -> Tensor:
    """The equation for ``function``, which is affine: ``p_j = Σ_i p_i w⁺_ij x_j / Σ_k w⁺_ik x_k``."""
    weights = jacobian(function, parents, vectorize=True).reshape(-1, parents.numel()).clamp_min(0)
    excitation = weights * parents.flatten().clamp_min(0)
    total = excitation.sum(1, keepdim=True)
    return (mass.reshape(-1, 1) * excitation / total.where(total > 0, torch.inf)).sum(0).reshape(parents.shape)


def _random(net: nn.Module) -> Any:
    """The net in float64 with statistics, scales of both signs and biases."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()
            if isinstance(module, nn.BatchNorm2d):
                for values in (module.running_mean, module.weight.data, module.bias.data):
                    values.normal_()
                module.running_var.uniform_(0.5, 2.0)
    return net.double().eval()


HEADS: dict[str, Callable[[], list[nn.Module]]] = {
    "convolution": lambda: [nn.Conv2d(8, 6, 3, padding=1), nn.ReLU(inplace=True)],
    "strides and dilation": lambda: [nn.Conv2d(8, 6, 3, stride=2, dilation=2, padding=(1, 2)), nn.ReLU()],
    "groups": lambda: [nn.Conv2d(8, 6, 2, groups=2), nn.ReLU()],
    "a batch norm after weights": lambda: [nn.Sequential(nn.Conv2d(8, 6, 3), nn.BatchNorm2d(6)), nn.ReLU()],
    "average pooling": lambda: [nn.AvgPool2d(3, stride=2, padding=1)],
    "uneven average pooling": lambda: [nn.AdaptiveAvgPool2d((3, 5))],
    "two linear layers": lambda: [nn.Flatten(), nn.Linear(8 * 16, 20), nn.ReLU(), nn.Dropout()],
    "padding": lambda: [nn.ReflectionPad2d(1), nn.Conv2d(8, 6, 3), nn.ReLU()],
}


@pytest.mark.parametrize("head", HEADS)
def test_shares_are_those_of_the_equation(head: str) -> None:
    layer = nn.Conv2d(3, 8, 4, stride=4)
    stages = [nn.ReLU(), *HEADS[head](), nn.Flatten(), nn.LazyLinear(CLASSES)]
    net = nn.Sequential(layer, *stages).double()
    net(images(1))
    net = _random(net)
    found = explain(net, images(2), TARGETS, MWP, "0").maps
    for i, k in ((0, 0), (0, 1), (1, 0), (1, 1)):
        values = [layer(images(2)[i : i + 1]).detach()]
        for stage in stages:
            values.append(stage(values[-1].clone()).detach())
        mass = F.one_hot(torch.tensor(TARGETS[i][k]), CLASSES).double()
        for stage, parents in zip(reversed(stages), reversed(values[:-1]), strict=True):
            mass = mass.reshape(parents.shape) if isinstance(stage, nn.ReLU) else _shared(mass, stage, parents)
        torch.testing.assert_close(found[i, k], mass[0].sum(0).float())


def test_the_winner_of_a_maximum_takes_all() -> None:
    net = _random(nn.Sequential(nn.Conv2d(3, 8, 2), nn.ReLU(), nn.MaxPool2d(5), nn.Flatten(), nn.Linear(72, CLASSES)))
    values = net[:2](images(1)).detach()
    pooled = net[:4](images(1)).detach()
    shares = _shared(torch.eye(CLASSES).double()[2], net[4], pooled).reshape(72)
    places = F.max_pool2d(values, 5, return_indices=True)[1].flatten()
    expected = torch.zeros(15 * 15).double().index_add_(0, places, shares)
    found = explain(net, images(1), [2], MWP, "1").maps
    torch.testing.assert_close(found, expected.reshape(1, 15, 15).float())


class _Branches(nn.Module):
    """A shortcut, then two branches that are laid side by side; as modules."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU())
        self.conv, self.norm, self.relu = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True)
        self.wide, self.narrow = nn.Conv2d(6, 4, 3, padding=1), nn.Conv2d(6, 3, 1)
        self.pool, self.flat, self.head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, CLASSES)

    def block(self, x: Tensor) -> Tensor:
        return self.relu(self.norm(self.conv(x)) + x)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(self.stem(x))
        x = torch.cat([self.relu(self.wide(x)), self.relu(self.narrow(x))], 1)
        return self.head(self.flat(self.pool(x)))


class _Functions(_Branches):
    """The same as functions and methods."""

    def block(self, x: Tensor) -> Tensor:
        out = F.conv2d(x, self.conv.weight, bias=self.conv.bias, padding=1)
        norm = self.norm
        out = F.batch_norm(out, norm.running_mean, norm.running_var, weight=norm.weight, bias=norm.bias, eps=norm.eps)
        out += x
        return F.relu(out, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(self.stem(x))
        wide = F.conv2d(x, self.wide.weight, self.wide.bias, 1, 1).relu_()
        x = torch.concat([wide, torch.relu(self.narrow(x))], dim=1)
        return F.linear(x.mean((2, 3)), self.head.weight) + self.head.bias


def _mass_of_branches(net: Any, image: Tensor, target: int) -> Tensor:
    """The mass ``[6, h, w]`` of the stem's output."""
    stem = net.stem(image)
    convolved = net.norm(net.conv(stem)).detach()
    block = (convolved + stem).relu().detach()
    cat = torch.cat([net.wide(block), net.narrow(block)], 1).relu().detach()
    mass = _shared(F.one_hot(torch.tensor(target), CLASSES), net.head, cat.mean((2, 3)))
    mass = _shared(mass, lambda x: x.mean((2, 3)), cat)
    mass = _shared(mass[:, :4], net.wide, block) + _shared(mass[:, 4:], net.narrow, block)
    through, around = _shared(mass, lambda terms: terms.sum(0), torch.stack([convolved, stem.detach()]))
    return (around + _shared(through, lambda x: net.norm(net.conv(x)), stem.detach()))[0]


@pytest.mark.parametrize("kind", [_Branches, _Functions])
def test_shortcuts_and_concatenation_as_modules_and_functions(kind: type[nn.Module]) -> None:
    net = _random(kind())
    found = explain(net, images(2), TARGETS, MWP, "stem").maps
    expected = [[_mass_of_branches(net, images(2)[i : i + 1], target) for target in TARGETS[i]] for i in range(2)]
    torch.testing.assert_close(found, torch.stack([torch.stack(row) for row in expected]).sum(2).float())


def test_a_batch_norm_is_part_of_the_convolution_before_it() -> None:
    net = _random(_Branches())
    expected = explain(net, images(2), TARGETS, MWP, "stem").maps
    net.conv, net.norm = fuse_conv_bn_eval(net.conv, net.norm), nn.Identity()
    torch.testing.assert_close(explain(net, images(2), TARGETS, MWP, "stem").maps, expected)


def test_a_batch_norm_by_itself_passes_mass_on_where_its_scale_is_positive() -> None:
    net = _random(nn.Sequential(nn.Conv2d(3, 4, 2), nn.ReLU(), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(900, 5)))
    values = net[:3](images(1)).detach()
    mass = _shared(torch.eye(5).double()[1], net[3:], values)
    assert 0 < (net[2].weight > 0).sum() < 4
    expected = mass[0, net[2].weight > 0].sum(0)
    torch.testing.assert_close(explain(net, images(1), [1], MWP, "1").maps[0], expected.float())


@pytest.mark.parametrize("clip", [F.relu6, nn.ReLU6(inplace=True), nn.Hardtanh(0.0, 6.0)])
def test_saturation_loses_no_mass(clip: Callable[[Tensor], Tensor]) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.conv, self.head = nn.Conv2d(3, 4, 2), nn.Conv2d(4, 4, 1), nn.Linear(4, CLASSES)
            self.conv.bias.data.fill_(10.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(clip(self.conv(self.trunk(x).relu())).mean((2, 3)))

    torch.manual_seed(0)
    net = Net().eval()
    found = explain(net, images(1).float(), [0], MWP, "trunk")
    torch.testing.assert_close(found.outputs, net(images(1).float()).detach())
    assert found.maps.sum() > 0.5


def test_maps_of_classes_that_are_averaged() -> None:
    net = _random(nn.Sequential(nn.Conv2d(3, CLASSES, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    maps = net[:2](images(2)).detach()
    maps = (maps / maps.sum((2, 3), keepdim=True)).float()
    found = explain(net, images(2), TARGETS, MWP, "1").maps
    torch.testing.assert_close(found, torch.stack([maps[i, row] for i, row in enumerate(TARGETS)]))
