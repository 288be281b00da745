"""The head alone gives what the whole model gives, with nothing left and nobody disturbed."""

import threading
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torchvision import models

from saliency import explain
from saliency.choice import resolve
from saliency.head import Head
from saliency.hooks import watch
from saliency.layers import Layer, LayerError
from tests.nets import CLASSES, NETS, images, make

TORCHVISION = {
    "resnet18": ["layer2", "layer3.1.bn2", "layer4"],
    "vgg11": ["features.10", "features"],
    "densenet121": ["features.denseblock3", "features.norm5"],
    "googlenet": ["inception4a", "inception5b.branch2", "inception5b"],
    "mobilenet_v3_small": ["features.4.block.1", "features"],
    "convnext_tiny": ["features.3", "features.7.1.block.0"],
    "vit": ["encoder.layers.encoder_layer_2.ln_1"],
}


class _Skip(nn.Module):
    """The image goes around the layer, by an operation that is no module."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(7, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([self.trunk(x), x * 2], 1).mean((2, 3)))


class _Count(nn.Module):
    """Gives something else at each run, so that nothing but the whole model will do."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.trunk = nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(4, CLASSES)
        self.runs = 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        return self.head(self.trunk(self.first(x)).mean((2, 3))) * self.runs


class _Twice(nn.Module):
    """A layer that runs twice, with another between, and a ReLU that all share."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.layer = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        a = self.relu(self.layer(self.relu(self.stem(x))))
        return self.head(self.relu(self.layer(a * 0.5)).mean((2, 3)))


def _disturbed(head: Head) -> tuple[Tensor, Tensor]:
    """Activations that are not the model's own, and images that are not in order."""
    rows = torch.tensor([1, 0, 1, 1], device=head.activation.device)
    noise = torch.rand(head.activation[rows].shape, generator=torch.Generator().manual_seed(1))
    return head.activation[rows] * noise.to(head.activation), rows


def _by_hand(net: nn.Module, layer: Layer, x: Tensor, activation: Tensor, rows: Tensor) -> Tensor:
    """The whole model with a layer's output replaced."""

    def put(output: Any) -> Any:
        return (activation.clone(), *output[1:]) if isinstance(output, tuple) else activation.clone()

    with torch.no_grad(), watch({layer.module: put}):
        raw = net(x[rows])
    return getattr(raw, "logits", raw)


@pytest.mark.parametrize("kind", NETS)
def test_the_head_alone_gives_what_the_whole_model_gives(kind: str) -> None:
    net, name = make(kind)
    x = images(2)
    layer = resolve(net, name, x)[0]
    head = Head(net, x, layer)
    assert head.alone
    activation, rows = _disturbed(head)
    before = activation.clone()
    torch.testing.assert_close(head.run(activation, rows), _by_hand(net, layer, x, activation, rows))
    assert torch.equal(activation, before)


@cache
def _torchvision(network: str) -> nn.Module:
    torch.manual_seed(0)
    if network == "vit":
        vit = models.VisionTransformer(64, 16, num_layers=3, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=9)
        nn.init.normal_(vit.heads.head.weight)
        return vit.eval()
    options = {"init_weights": False} if network == "googlenet" else {}
    return models.get_model(network, weights=None, **options).eval()


class _Convolutions(TorchFunctionMode):
    """Notes the weights of the convolutions that are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.conv2d:
            self.weights.append(args[1])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("network", "name"), [(n, name) for n, names in TORCHVISION.items() for name in names])
def test_heads_of_torchvisions_models(network: str, name: str) -> None:
    net = _torchvision(network)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    layer = Layer(name, net.get_submodule(name))
    head = Head(net, x, layer)
    assert head.alone
    activation, rows = _disturbed(head)
    with _Convolutions() as convolutions:
        found = head.run(activation, rows)
    first = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
    assert all(weight is not first.weight for weight in convolutions.weights)
    torch.testing.assert_close(found, _by_hand(net, layer, x, activation, rows), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("factory", "name", "alone"), [(_Skip, "trunk", True), (_Count, "trunk", False)])
def test_what_goes_around_the_layer_is_kept_or_runs_again(factory: Any, name: str, alone: bool) -> None:
    torch.manual_seed(0)
    net = factory().double().eval()
    x = images(2)
    layer = Layer(name, net.get_submodule(name))
    head = Head(net, x, layer)
    assert head.alone == alone
    activation, rows = _disturbed(head)
    if isinstance(net, _Count):
        net.runs = 6
    found = head.run(activation, rows)
    if isinstance(net, _Count):
        net.runs = 6
    torch.testing.assert_close(found, _by_hand(net, layer, x, activation, rows))


def test_of_a_layer_that_runs_twice_the_last_output_is_replaced() -> None:
    torch.manual_seed(0)
    net = _Twice().double().eval()
    x = images(2)
    head = Head(net, x, Layer("layer", net.get_submodule("layer")))
    assert head.alone
    activation, rows = _disturbed(head)
    expected = net.head(torch.relu(activation).mean((2, 3)))
    torch.testing.assert_close(head.run(activation, rows), expected.detach())
    head.alone = False
    torch.testing.assert_close(head.run(activation, rows), expected.detach())


def test_named_inputs_keep_to_their_images() -> None:
    class Asked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = nn.Conv2d(3, 4, 3)
            self.ask = nn.Embedding(5, 4)
            self.head = nn.Linear(4, CLASSES)

        def forward(self, pixels: Tensor, question: Tensor) -> Tensor:
            return self.head(self.trunk(pixels).mean((2, 3)) * self.ask(question))

    torch.manual_seed(0)
    net = Asked().double().eval()
    questions = torch.tensor([1, 4])
    head = Head(net, {"pixels": images(2), "question": questions}, Layer("trunk", net.get_submodule("trunk")))
    assert head.alone
    activation, rows = _disturbed(head)
    expected = net.head(activation.mean((2, 3)) * net.ask(questions[rows]))
    torch.testing.assert_close(head.run(activation, rows), expected.detach())


def test_a_packed_question_keeps_to_its_image() -> None:
    class Asked(nn.Module):
        """Asks by a network that gives what cannot be put together of stand-ins, and not by rows of the batch."""

        def __init__(self) -> None:
            super().__init__()
            self.trunk = nn.Conv2d(3, 4, 3)
            self.words = nn.Embedding(5, 4)
            self.reader = nn.LSTM(4, 4, num_layers=2, batch_first=True)
            self.head = nn.Linear(4, CLASSES)

        def read(self, question: Tensor) -> Tensor:
            lengths = (question > 0).sum(1).cpu()
            packed = nn.utils.rnn.pack_padded_sequence(self.words(question), lengths, True, enforce_sorted=False)
            return self.reader(packed)[1][0][-1]

        def forward(self, pixels: Tensor, question: Tensor) -> Tensor:
            return self.head(self.read(question) * self.trunk(pixels).mean((2, 3)))

    torch.manual_seed(0)
    net = Asked().double().eval()
    questions = torch.tensor([[1, 3, 0], [4, 2, 2]])
    head = Head(net, {"pixels": images(2), "question": questions}, Layer("trunk", net.get_submodule("trunk")))
    activation, rows = _disturbed(head)
    expected = net.head(net.read(questions[rows]) * activation.mean((2, 3)))
    torch.testing.assert_close(head.run(activation, rows), expected.detach())


def test_layers_that_do_not_run_or_give_no_tensor_raise() -> None:
    net, _ = make("gap head")
    net.add_module("idle", nn.Conv2d(3, 3, 1))
    with pytest.raises(LayerError, match="layer 'idle' did not run"):
        Head(net, images(1), Layer("idle", net.get_submodule("idle")))

    class Lists(nn.Module):
        def forward(self, x: Tensor) -> list[Tensor]:
            return [x]

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = Lists()

        def forward(self, x: Tensor) -> Tensor:
            return self.trunk(x)[0].mean((2, 3))

    net = Net().eval()
    with pytest.raises(LayerError, match="gives list, in which no tensor"):
        Head(net, images(1), Layer("trunk", net.get_submodule("trunk")))


@pytest.mark.parametrize("failing", ["trunk", "head"])
def test_nothing_is_left_whatever_fails(failing: str) -> None:
    net, name = make("gap head")
    x = images(2)
    head = Head(net, x, Layer(name, net.get_submodule(name)))
    activation, rows = _disturbed(head)
    before = {module: sorted(vars(module)) for module in net.modules()}
    part = net.head if failing == "head" else net.trunk[0]

    def fail(*_: Any) -> None:
        raise KeyError("this module fails")

    handle = part.register_forward_pre_hook(fail)
    with pytest.raises(KeyError):
        Head(net, x, Layer(name, net.get_submodule(name)))
    if failing == "head":
        with pytest.raises(KeyError):
            head.run(activation, rows)
    handle.remove()
    assert {module: sorted(vars(module)) for module in net.modules()} == before
    assert all(not module._forward_hooks for module in net.modules())


def test_threads_share_one_model() -> None:
    net, name = make("in place")
    layer = Layer(name, net.get_submodule(name))
    jobs = []
    for seed in range(4):
        x = images(2, seed)
        activation, rows = _disturbed(Head(net, x, layer))
        jobs.append((x, activation, rows, _by_hand(net, layer, x, activation, rows), net(x).detach()))
    wrong: list[object] = []

    def work(start: int) -> None:
        for turn in range(20):
            x, activation, rows, expected, plain = jobs[(start + turn) % len(jobs)]
            try:
                torch.testing.assert_close(Head(net, x, layer).run(activation, rows), expected)
                torch.testing.assert_close(net(x).detach(), plain)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert all("forward" not in vars(module) for module in net.modules())


def test_an_image_runs_as_often_as_its_live_channels_need_chunks() -> None:
    net, name = make("gap head")
    with torch.no_grad():
        net.trunk[2].weight[3:6] = 0
        net.trunk[2].bias[3:6] = -1  # three channels that the ReLU keeps at zero
    rows: list[int] = []
    trunk: list[int] = []
    handles = [
        net.head.register_forward_hook(lambda _m, given, _o: rows.append(len(given[0]))),
        net.trunk[0].register_forward_hook(lambda *_: trunk.append(1)),
    ]
    live = (net.trunk(images(1)) > 0).any(-1).any(-1).sum().item()
    trunk.clear()
    explain(net, images(1), [0], "ablation-cam", name)
    for handle in handles:
        handle.remove()
    assert live <= 9
    assert rows[-1] == live
    assert len(trunk) <= 2  # once for the layer's choice, once for its output
