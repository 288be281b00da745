"""The loss of interpretable gradients against gradients written by hand and against PyTorch's own hooks."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency import UnsuitableError
from saliency.interpretable import DISTANCES, interpretable_loss
from tests.nets import CLASSES, images

LABELS = torch.tensor([1, 3, 0, 4])


class _Net(nn.Module):
    """Two convolutions with batch norm and ReLU, pooling and a linear layer."""

    def __init__(self, *, inplace: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(inplace)),
            *(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Dropout(dropout), nn.Linear(72, CLASSES)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class _Blind(_Net):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().forward(x.float())


def _net(*, inplace: bool = False, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    return _Net(inplace=inplace, dropout=dropout).double()


def _image_gradient(net: nn.Module, x: Tensor, *, guided: bool) -> tuple[Tensor, Tensor]:
    """The loss and B times its gradient at the pixels, by PyTorch's own hooks on modules."""

    def clip(_module: nn.Module, inward: tuple[Tensor, ...], _outward: tuple[Tensor, ...]) -> tuple[Tensor]:
        return (inward[0].relu(),)

    relus = [module for module in net.modules() if isinstance(module, nn.ReLU)]
    hooks = [module.register_full_backward_hook(clip) for module in relus if guided]
    x = x.clone().requires_grad_()
    loss = F.cross_entropy(net(x), LABELS)
    (gradient,) = torch.autograd.grad(loss, x, create_graph=not guided)
    for hook in hooks:
        hook.remove()
    return loss, gradient * len(x)


def _with_constant_statistics(net: nn.Module, x: Tensor) -> nn.Module:
    """A copy that in evaluation mode gives what the net gives in its own mode."""
    other = copy.deepcopy(net)
    norms = [module for module in other.modules() if isinstance(module, nn.BatchNorm2d) and module.training]
    for norm in norms:
        norm.momentum = 1.0
    other(x)
    for norm in norms:
        # It is kept unbiased; batches are normalised by the biased one.
        norm.running_var.mul_(1 - 1 / (len(x) * 7 * 7))
    return other.eval()


def _one_distance(name: str, a: Tensor, b: Tensor) -> Tensor:
    """Of two images' gradients, as the formulas read."""
    if name == "cosine":
        return 1 - (a * b).sum() / ((a * a).sum().sqrt() * (b * b).sum().sqrt())
    if name == "histogram":
        return 1 - torch.minimum(a.abs() / a.abs().sum(), b.abs() / b.abs().sum()).sum()
    return {"mae": (a - b).abs(), "mse": (a - b) ** 2}[name].sum() / a.numel()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", DISTANCES)
def test_values_and_the_parameters_gradient(name: str, training: bool) -> None:
    net, x = _net().train(training), images(4)
    reference, explained = copy.deepcopy(net), _with_constant_statistics(net, x)
    classification = F.cross_entropy(reference(x), LABELS)
    _, guided = _image_gradient(explained, x, guided=True)
    same, gradient = _image_gradient(explained, x, guided=False)
    torch.testing.assert_close(same, classification)
    distance = torch.stack([_one_distance(name, *pair) for pair in zip(gradient, guided, strict=True)]).mean()
    classification.backward()
    (0.3 * distance).backward()

    loss = interpretable_loss(net, x, LABELS, distance=name, weight=0.3)
    loss.total.backward()
    torch.testing.assert_close(loss.classification, classification.detach())
    torch.testing.assert_close(loss.distance, distance.detach())
    torch.testing.assert_close(loss.total.detach(), (classification + 0.3 * distance).detach())
    for found, *parts in zip(net.parameters(), reference.parameters(), explained.parameters(), strict=True):
        expected = sum(part.grad for part in parts if part.grad is not None)
        torch.testing.assert_close(found.grad, expected)


def test_gradients_by_hand() -> None:
    """One hidden layer, the plain sum as the loss: the rows of the weights say all."""
    torch.manual_seed(1)
    first, second = nn.Linear(12, 20, bias=False).double(), nn.Linear(20, 3, bias=False).double()
    net = nn.Sequential(nn.Flatten(), first, nn.ReLU(), second)
    x = torch.randn(1, 3, 2, 2, dtype=torch.float64)
    with torch.no_grad():
        upstream = second.weight.sum(0) * (first(x.flatten(1))[0] > 0)
        plain, guided = upstream @ first.weight, upstream.clamp_min(0) @ first.weight
    loss = interpretable_loss(net, x, LABELS, criterion=lambda outputs, _: outputs.sum(), distance="mse")
    torch.testing.assert_close(loss.distance, (plain - guided).square().mean())
    assert loss.distance > 0


def test_what_is_explained_need_not_be_the_loss() -> None:
    """A smoothed loss beside the gradients of the plain one."""
    net, x = _net().eval(), images(4)
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.2)
    loss = interpretable_loss(net, x, LABELS, criterion=smoothed, explained=F.cross_entropy)
    torch.testing.assert_close(loss.classification, smoothed(net(x), LABELS).detach())
    torch.testing.assert_close(loss.distance, interpretable_loss(net, x, LABELS).distance)


def test_the_guided_gradient_is_a_constant() -> None:
    """Central differences of the loss along a direction, the guided gradient held where it was."""
    net, x = _net().eval(), images(4)
    _, guided = _image_gradient(net, x, guided=True)
    loss = interpretable_loss(net, x, LABELS, distance="mse", weight=50.0)
    loss.total.backward()
    torch.manual_seed(2)
    direction = {name: torch.randn_like(parameter) for name, parameter in net.named_parameters()}
    slope = math.fsum(float((parameter.grad * direction[name]).sum()) for name, parameter in net.named_parameters())

    def moved(step: float) -> float:
        other = copy.deepcopy(net)
        with torch.no_grad():
            for name, parameter in other.named_parameters():
                parameter.add_(step * direction[name])
        classification, gradient = _image_gradient(other, x, guided=False)
        return (classification + 50.0 * (gradient - guided).square().mean()).item()

    step = 1e-7
    torch.testing.assert_close(slope, (moved(step) - moved(-step)) / (2 * step), rtol=1e-4, atol=0)


def test_batch_norm_sees_the_batch_once_and_nothing_else_is_left() -> None:
    net, x = _net().train(), images(4)
    reference = copy.deepcopy(net)
    reference(x)
    before = x.clone()
    loss = interpretable_loss(net, x, LABELS)
    for (name, found), expected in zip(net.named_buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(found, expected, msg=name)
    assert loss.total.requires_grad
    assert torch.equal(x, before)
    assert not x.requires_grad
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(module.training and not module._forward_hooks for module in net.modules())
    assert not any(module._backward_hooks for module in net.modules())


def test_activations_in_place() -> None:
    x, found = images(4), []
    for inplace in (False, True):
        net = _net(inplace=inplace).train()
        loss = interpretable_loss(net, x, LABELS, weight=0.3)
        loss.total.backward()
        found.append([*loss, *(parameter.grad for parameter in net.parameters())])
    torch.testing.assert_close(found[0], found[1])


def test_dropout_drops_the_same_for_both_gradients() -> None:
    """With positive weights and an upstream gradient of 1 the rule changes nothing, whatever is dropped."""
    net = _net(dropout=0.5).train()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
    loss = interpretable_loss(net, images(4).abs(), LABELS, criterion=lambda outputs, _: outputs.sum(), distance="mae")
    assert loss.distance == 0


@pytest.mark.parametrize("name", DISTANCES)
def test_a_batch_is_the_mean_of_its_images(name: str) -> None:
    net, x = _net().eval(), images(4)
    whole = interpretable_loss(net, x, LABELS, distance=name)
    singles = [interpretable_loss(net, x[i : i + 1], LABELS[i : i + 1], distance=name) for i in range(4)]
    for i in range(3):
        torch.testing.assert_close(whole[i], torch.stack([single[i] for single in singles]).mean())


def test_figures_under_no_grad() -> None:
    net, x = _net().eval(), images(4)
    expected = interpretable_loss(net, x, LABELS)
    with torch.no_grad():
        found = interpretable_loss(net, x, LABELS)
    assert not found.total.requires_grad
    torch.testing.assert_close(found, type(expected)(*(value.detach() for value in expected)))


@pytest.mark.parametrize("training", [True, False])
def test_half_precision(training: bool) -> None:
    net, x = _net().train(training), images(4)
    expected = interpretable_loss(net, x, LABELS).distance
    loss = interpretable_loss(net.bfloat16(), x.bfloat16(), LABELS)
    loss.total.backward()
    torch.testing.assert_close(loss.distance.double(), expected, rtol=0, atol=0.02)
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


def test_an_image_without_gradient_teaches_nothing() -> None:
    net = _net().eval()
    nn.init.zeros_(net.body[-1].weight)
    for name in DISTANCES:
        net.zero_grad()
        interpretable_loss(net, images(4), LABELS, distance=name, weight=1.0).total.backward()
        assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


def test_training_brings_the_gradients_together() -> None:
    """Bright squares in one of five places, in noise; beside the same training without the second term."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(CLASSES).repeat(8)
    x = torch.randn(len(labels), 3, 16, 16, dtype=torch.float64, generator=generator)
    for image, label in zip(x, labels, strict=True):
        image[:, 3 * label : 3 * label + 3, 3 * label : 3 * label + 3] += 2
    distances = []
    for weight in (0.0, 0.3):
        net = _net().train()
        optimizer = torch.optim.Adam(net.parameters(), 3e-3)
        for _ in range(40):
            optimizer.zero_grad()
            interpretable_loss(net, x, labels, weight=weight).total.backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            assert (net(x).argmax(1) == labels).double().mean() > 0.9
            distances.append(interpretable_loss(net, x, labels).distance.item())
    assert distances[1] < 0.9 * distances[0]


def test_a_model_without_relu_is_refused() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU6(), nn.Flatten(), nn.Linear(784, CLASSES)).double()
    with pytest.raises(UnsuitableError, match="no ReLU"):
        interpretable_loss(net, images(4), LABELS)
    with pytest.raises(UnsuitableError, match="under no_grad"):
        interpretable_loss(_Blind(), images(4), LABELS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distance": "l2"}, "distance must be one of cosine, mae, mse, histogram"),
        ({"weight": -1.0}, "weight must be a finite number"),
        ({"weight": float("nan")}, "weight must be a finite number"),
        ({"criterion": nn.CrossEntropyLoss(reduction="none")}, "take the mean"),
        ({"explained": nn.CrossEntropyLoss(reduction="none")}, "take the mean"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        interpretable_loss(_net(), images(4), LABELS, **options)
