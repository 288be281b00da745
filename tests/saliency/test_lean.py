from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torchvision import models

from saliency import capture, explain
from saliency.layers import Layer
from saliency.lean import SEVERAL, forward, often
from saliency.trunk import Trunk, run_by
from tests.norms import Norms

LAST = torch.channels_last


class Watched(nn.Module):
    """A small network that notes how many images it was given, and whether with channels last."""

    def __init__(self, rest: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.Tanh()
        self.rest = rest or nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
        self.calls: list[tuple[int, bool]] = []
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append((len(x), x.is_contiguous(memory_format=LAST)))
        found: Tensor = self.rest(self.act(self.norm(self.conv(x))))
        return found


class Viewed(nn.Module):
    """What fails if channels are last."""

    def forward(self, x: Tensor) -> Tensor:
        return x.view(len(x), -1)[:, :5]


def images(count: int, side: int = 8) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("count", [1, SEVERAL - 1])
def test_few_images_go_through_the_model_as_it_is(count: int) -> None:
    net = Watched()
    run = forward(net, images(count), [Layer("act", net.act)], graph=False)
    assert net.calls == [(count, False)]
    assert torch.equal(run.outputs, net(images(count)))


@pytest.mark.parametrize("build", [models.resnet18, models.mobilenet_v3_small, models.vgg11, models.convnext_tiny])
def test_layers_outputs_and_gradients_of_several_are_those_of_the_model(build: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    net, x = build(num_classes=5).eval(), images(SEVERAL, 64).float()
    names = [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)][-4:]
    for name in names:
        layers = [Layer(name, net.get_submodule(name))]
        ours, plain = forward(net, x, layers), capture.forward(net, x, layers)
        torch.testing.assert_close(ours.outputs, plain.outputs, rtol=1e-4, atol=1e-5)
        for found, expected in (
            (ours.activations, plain.activations),
            (ours.gradients(lambda out: out[:, 1:3]), plain.gradients(lambda out: out[:, 1:3])),
        ):
            size = float(expected[0].abs().max())
            torch.testing.assert_close(found[0], expected[0], rtol=1e-3, atol=1e-4 * size)


def test_channels_come_last_where_that_is_faster() -> None:
    net = Watched()
    run = often(net, images(1))
    run(images(1))
    run(images(SEVERAL))
    assert net.calls[1:] == [(1, True), (SEVERAL, True)]  # after a look
    net.norm = nn.Identity()  # type: ignore[assignment]
    net = deepcopy(net)
    run = often(net, images(1))
    net.calls.clear()
    run(images(1))
    run(images(SEVERAL))
    assert net.calls == [(1, False), (SEVERAL, True)]


def test_a_model_that_counts_on_the_usual_layout_is_asked_once() -> None:
    net = Watched(Viewed())
    layers = [Layer("act", net.act)]
    run = forward(net, images(SEVERAL), layers)
    assert net.calls[1:] == [(SEVERAL, True), (SEVERAL, False)]
    expected = capture.forward(net, images(SEVERAL), layers)
    torch.testing.assert_close(run.outputs, expected.outputs)
    gradients = [each.gradients(lambda out: out[:, :2])[0] for each in (run, expected)]
    torch.testing.assert_close(*gradients)
    net.calls.clear()
    forward(net, images(SEVERAL), layers)
    often(net, images(1))(images(SEVERAL))
    assert net.calls == [(SEVERAL, False), (SEVERAL, False)]


def test_the_trunk_has_no_graph_after_a_call_that_was_made_anew() -> None:
    net = Watched(Viewed())
    run = forward(net, images(SEVERAL), [Layer("act", net.act)])
    assert net.calls[-2:] == [(SEVERAL, True), (SEVERAL, False)]
    assert run.taps[0].is_leaf


def test_errors_of_the_model_are_its_own() -> None:
    net = Watched(nn.Linear(3, 3))
    with pytest.raises(RuntimeError, match="shapes"):
        often(net, images(1))(images(SEVERAL))


class Functions(TorchFunctionMode):
    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def test_who_watches_functions_sees_those_of_the_model() -> None:
    net = Watched()
    run = often(net, images(1))
    with Functions():
        run(images(SEVERAL))
    assert net.calls[1:] == [(SEVERAL, False)]  # after a look


def test_a_trunk_that_runs_by_other_means_still_does() -> None:
    net = Watched()
    cut = Layer("act", net.act)
    trunk = Trunk(deepcopy(net), cut)
    runs = []

    def stand_in(x: Tensor) -> Tensor:
        runs.append(len(x))
        found: Tensor = trunk(x)
        return found

    expected = net(images(SEVERAL))
    run_by(net, cut, images(1), stand_in)
    run = often(net, images(1))
    with torch.no_grad():
        torch.testing.assert_close(run(images(SEVERAL)), expected)
        torch.testing.assert_close(forward(net, images(SEVERAL), [cut], graph=False).outputs, expected)
    assert runs == [SEVERAL, SEVERAL]
    torch.testing.assert_close(run(images(SEVERAL)), expected)  # with a graph, its own modules run
    assert runs == [SEVERAL, SEVERAL]


def test_a_compiled_model_is_left_to_its_compiler() -> None:
    net = models.resnet18().eval()
    net.compile(backend="eager")
    assert often(net, images(1, 64)) is net


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("score-cam", {}),
        ("group-cam", {}),
        ("opti-cam", {"steps": 3}),
        ("smooth-grad", {"samples": 9}),
        ("integrated-gradients", {"steps": 9}),
    ],
)
def test_methods_of_many_forwards_go_without_norms(
    method: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Watched()
    explain(net, images(1), [1], method, "norm", **options)  # looks at the model
    norms = Norms(monkeypatch)
    # In the forward in which the layer is captured.
    assert norms.of(lambda: explain(net, images(1), [1], method, "norm", **options)) == 1
