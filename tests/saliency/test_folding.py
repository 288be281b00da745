import threading
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from saliency.capture import forward
from saliency.folding import Folded
from saliency.layers import Layer
from tests.norms import Norms


@pytest.fixture
def norms(monkeypatch: pytest.MonkeyPatch) -> Norms:
    return Norms(monkeypatch)


def drawn(model: nn.Module) -> nn.Module:
    """The model in float64 with statistics and weights that are not those of a new batch norm."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            for tensor in module.state_dict().values():
                if tensor.is_floating_point():
                    tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model.double().eval()


def images(size: int = 16) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def norms_left(norms: Norms, model: nn.Module, x: Tensor, *, keep: bool = True) -> int:
    """How many norms a folded model computes, whose outputs and gradients are seen to be the model's own."""
    run = Folded(model, x, torch.contiguous_format, keep=keep)
    found = []
    before = norms.count
    for call in (run, model):
        leaf = x.clone().requires_grad_()
        outputs = call(leaf.clone())
        found.append((outputs, *torch.autograd.grad(outputs.square().sum(), leaf), norms.count - before))
    (ours, our_gradient, left), (outputs, gradient, _) = found
    torch.testing.assert_close(ours, outputs, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(our_gradient, gradient, rtol=1e-9, atol=1e-9)
    count: int = left
    return count


@pytest.mark.parametrize(
    ("build", "left"),
    [
        (models.resnet18, 0),
        (models.densenet121, 62),  # of 121; those before convolutions
        (lambda: timm.create_model("mobilenetv3_small_050"), 0),  # its norms have activations of their own
    ],
)
def test_outputs_and_gradients_stay_and_norms_are_gone(build: Callable[[], nn.Module], left: int, norms: Norms) -> None:
    assert norms_left(norms, drawn(build()), images(64)) == left


class Net(nn.Module):
    """Convolution and batch norm, and what a test makes of them."""

    def __init__(self, join: Callable[["Net", Tensor], Tensor], **norm: Any) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(3, 3, 3, padding=1, bias=bias) for bias in (True, False))
        self.norm = nn.BatchNorm2d(3, **norm)
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self, x).relu().mean((-2, -1))


def read_twice(net: Net, x: Tensor) -> Tensor:
    raw = net.first(x)
    return net.norm(raw) + raw


def changed_in_place(net: Net, x: Tensor) -> Tensor:
    raw = net.first(x)
    raw[:, :, 0] = 0.0
    normed: Tensor = net.norm(raw)
    return normed


def read_in_a_list(net: Net, x: Tensor) -> Tensor:
    raw = net.first(x)
    return torch.cat([net.norm(raw), raw], 1)


def run_twice(net: Net, x: Tensor) -> Tensor:
    return net.first(x) + net.norm(net.first(x.flip(-1)))


def shared_norm(net: Net, x: Tensor) -> Tensor:
    raw = net.second(x)
    return net.norm(net.first(x)) + net.norm(raw) * raw


def normed_twice(net: Net, x: Tensor) -> Tensor:
    return net.norm(net.norm(net.first(x)))


def by_name(net: Net, x: Tensor) -> Tensor:
    return net.norm(F.conv2d(input=x, weight=net.first.weight, bias=net.first.bias))


@pytest.mark.parametrize(
    ("join", "left"),
    [
        (lambda net, x: net.norm(net.first(x)), 0),
        (lambda net, x: net.norm(net.second(x)), 0),
        (lambda net, x: net.norm(net.second(x)).relu_(), 0),
        (lambda net, x: net.norm(net.second(x).contiguous()), 1),
        (lambda net, x: net.norm(x), 1),
        (lambda net, x: net.first(x), 0),
        (read_twice, 1),
        (read_in_a_list, 1),
        (changed_in_place, 1),
        (run_twice, 1),
        (shared_norm, 1),
        (normed_twice, 1),
        (by_name, 1),
    ],
)
def test_only_what_norms_alone_read_is_folded(join: Callable[[Net, Tensor], Tensor], left: int, norms: Norms) -> None:
    torch.manual_seed(0)
    assert norms_left(norms, drawn(Net(join)), images()) == left


@pytest.mark.parametrize(("norm", "left"), [({"affine": False, "eps": 0.1}, 0), ({"track_running_stats": False}, 1)])
def test_norms_of_other_kinds(norm: dict[str, Any], left: int, norms: Norms) -> None:
    torch.manual_seed(0)
    assert norms_left(norms, drawn(Net(lambda net, x: net.norm(net.first(x)), **norm)), images()) == left


def test_small_activations_are_not_worth_other_weights_for_one_call(norms: Norms) -> None:
    net = drawn(Net(lambda net, x: net.norm(net.first(x))))  # 81 weights, 12 or 192 numbers of an image
    run = Folded(net, images(2), torch.contiguous_format, keep=False)
    assert norms.of(lambda: run(images(8))) == 0
    assert norms.of(lambda: run(images(2))) == 1
    assert norms.of(lambda: run(images(2).repeat(8, 1, 1, 1))) == 0


def test_what_changed_after_the_look_is_noticed(norms: Norms) -> None:
    net = drawn(Net(lambda net, x: net.norm(net.first(x))))
    assert norms_left(norms, net, images()) == 0
    with torch.no_grad():
        net.get_parameter("first.weight").mul_(2)
        net.get_buffer("norm.running_mean").add_(1)
    assert norms_left(norms, net, images()) == 0
    net.float()
    outputs = Folded(net, images().float(), torch.contiguous_format, keep=True)(images().float())
    torch.testing.assert_close(outputs, net(images().float()))
    net.double()
    assert norms_left(norms, net, images()) == 0
    net.get_submodule("norm").train()
    assert norms_left(norms, net, images()) == 1


@pytest.mark.parametrize("change", [changed_in_place, lambda net, x: net.first(x)])
def test_another_way_through_the_model_is_noticed(change: Callable[[Net, Tensor], Tensor], norms: Norms) -> None:
    net = Net(lambda net, x: net.norm(net.first(x)))
    drawn(net)
    assert norms_left(norms, net, images()) == 0
    net.join = change
    assert norms_left(norms, net, images()) == norms.of(lambda: net(images()))


def test_a_norm_that_is_gone_is_noticed() -> None:
    net = drawn(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    Folded(net, images(), torch.contiguous_format, keep=True)
    net[1] = nn.Identity()
    for _ in range(2):
        assert torch.equal(Folded(net, images(), torch.contiguous_format, keep=True)(images()), net(images()))


def test_a_call_that_is_made_anew_begins_as_the_first_did() -> None:
    net = Net(lambda net, x: net.norm(net.second(net.first(x))))
    drawn(net)
    run = Folded(net, images(), torch.contiguous_format, keep=True)
    net.join = lambda net, x: net.norm(net.second(net.first(x)) * 2)
    captured = forward(run, images(), [Layer("first", net.first)])
    assert captured.taps[0].is_leaf
    torch.testing.assert_close(captured.outputs, net(images()))


def test_what_was_folded_in_inference_serves_gradients_too() -> None:
    net = drawn(Net(lambda net, x: net.norm(net.first(x))))
    run = Folded(net, images(), torch.contiguous_format, keep=True)
    with torch.inference_mode():
        run(images())
    leaf = images().requires_grad_()
    run(leaf).sum().backward()
    assert leaf.grad is not None


def test_half_precision_is_left_as_it_is(norms: Norms) -> None:
    net = drawn(Net(lambda net, x: net.norm(net.first(x))))
    half = deepcopy(net).bfloat16()
    run = Folded(half, images().bfloat16(), torch.contiguous_format, keep=True)
    assert norms.of(lambda: run(images().bfloat16())) == 1
    run = Folded(net.float(), images().float(), torch.contiguous_format, keep=True)
    with torch.autocast("cpu"):
        assert norms.of(lambda: run(images().float())) == 1


@pytest.mark.parametrize("hooked", ["first", "norm"])
def test_what_hooks_are_shown_is_not_folded(hooked: str, norms: Norms) -> None:
    net = drawn(Net(lambda net, x: net.norm(net.first(x))))
    shown: list[Any] = []

    def show(_module: nn.Module, given: tuple[Tensor], output: Tensor) -> None:
        shown.append((*given, output))

    net.get_submodule(hooked).register_forward_hook(show)
    assert norms_left(norms, net, images()) == 1
    for ours, plain in zip(shown[-2], shown[-1], strict=True):
        assert torch.equal(ours, plain)


@pytest.mark.parametrize("keep", [False, True])
def test_layers_that_are_captured_give_what_they_do(keep: bool) -> None:
    net = drawn(models.resnet18())
    names = ("conv1", "layer1.0.conv1", "layer2.0.downsample.0", "layer3.1.bn1", "layer4")
    layers = [Layer(name, net.get_submodule(name)) for name in names]
    found = forward(Folded(net, images(64), torch.channels_last, keep=keep), images(64), layers)
    expected = forward(net, images(64), layers)
    for ours, plain in zip(found.activations, expected.activations, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9)


def test_the_model_and_other_threads_see_nothing_of_it(norms: Norms) -> None:
    elsewhere: list[int] = []

    def with_another(net: Net, x: Tensor) -> Tensor:
        if threading.current_thread() is threading.main_thread():
            other = threading.Thread(target=lambda: elsewhere.append(norms.of(lambda: net(x))))
            other.start()
            other.join()
        return net.norm(net.first(x))

    net = drawn(Net(with_another))
    before = deepcopy(net.state_dict())
    run = Folded(net, images(), torch.contiguous_format, keep=True)
    elsewhere.clear()
    assert norms.of(lambda: run(images())) == 1  # the other thread's
    assert elsewhere == [1]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
