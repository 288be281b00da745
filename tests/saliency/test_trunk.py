import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from saliency import explain, methods
from saliency.choice import last_spatial
from saliency.layers import Layer, LayerError
from saliency.trunk import Trunk, find_cut, run_by


class Small(nn.Module):
    """A trunk, its last layer, and a head of a convolution and a linear layer; with a way around if asked for."""

    def __init__(self, *, around: bool = False) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.third = nn.Conv2d(4, 6, 3, padding=1)
        self.linear = nn.Linear(6, 5)
        self._around = around

    def forward(self, images: Tensor) -> Tensor:
        early = self.first(images)
        late = self.third(self.second(early))
        sums = late.relu_().mean((-2, -1))
        if self._around:
            sums = sums + early.mean((-2, -1)).sum(1, keepdim=True)
        return self.linear(sums)


class Counted:
    """Runs a copy of a model's trunk and counts how often."""

    def __init__(self, model: nn.Module, cut: Layer, copy: nn.Module) -> None:
        copy.load_state_dict(model.state_dict())
        self.runs = 0
        self._trunk = Trunk(copy.eval(), cut)

    def __call__(self, images: Tensor) -> Tensor:
        self.runs += 1
        return self._trunk(images)


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def with_trunk() -> tuple[nn.Module, nn.Module, Counted]:
    """A model, the same with a trunk of its own, and that."""
    torch.manual_seed(0)
    plain, fast = Small().eval(), Small().eval()
    fast.load_state_dict(plain.state_dict())
    cut = find_cut(fast, images(1), last_spatial(fast, images(1)))
    run = Counted(fast, cut, Small())
    run_by(fast, cut, images(1), run)
    return plain, fast, run


def test_the_explained_layer_is_the_cut_where_nothing_goes_around_it() -> None:
    model = Small().eval()
    assert find_cut(model, images(1), Layer("third", model.third)).name == "third"


def test_a_way_around_the_layer_moves_the_cut_before_it() -> None:
    model = Small(around=True).eval()
    assert find_cut(model, images(1), Layer("third", model.third)).name == "first"
    with pytest.raises(LayerError, match="goes around layer 'third'"):
        run_by(model, Layer("third", model.third), images(1), lambda given: given)


def test_the_stream_of_a_transformer_is_cut_before_the_block_that_is_explained() -> None:
    model = models.VisionTransformer(32, 8, 3, 2, 16, 32, num_classes=4).eval()
    given = torch.randn(1, 3, 32, 32)
    layer = last_spatial(model, given)
    assert layer.name == "encoder.layers.encoder_layer_2.ln_1"
    assert find_cut(model, given, layer).name == "encoder.layers.encoder_layer_1"


@pytest.mark.parametrize("count", [1, 3])
def test_maps_and_outputs_are_those_of_the_model(count: int) -> None:
    plain, fast, run = with_trunk()
    expected, found = explain(plain, images(count), [[1, 4]] * count), explain(fast, images(count), [[1, 4]] * count)
    torch.testing.assert_close(found.maps, expected.maps)
    torch.testing.assert_close(found.outputs, expected.outputs)
    assert run.runs == 1


def test_every_method_gives_what_it_gives_without() -> None:
    plain, fast, run = with_trunk()
    for method in methods():
        if method.unsuitable(plain) is None and not method.told_by_running:
            expected, found = explain(plain, images(), [1, 4], method.id), explain(fast, images(), [1, 4], method.id)
            torch.testing.assert_close(found.maps, expected.maps, rtol=1e-3, atol=1e-4, msg=method.id)
    assert run.runs > 10


@pytest.mark.parametrize("layer", ["first", "second", "second.0"])
def test_what_looks_into_the_trunk_sees_the_models_own(layer: str) -> None:
    plain, fast, run = with_trunk()
    expected, found = explain(plain, images(), [1, 4], layers=layer), explain(fast, images(), [1, 4], layers=layer)
    torch.testing.assert_close(found.maps, expected.maps)
    assert run.runs == 0


def test_it_serves_predictions_but_no_graph_and_no_other_sizes() -> None:
    plain, fast, run = with_trunk()
    with torch.inference_mode():
        torch.testing.assert_close(fast(images()), plain(images()))
    assert run.runs == 1
    given = images().requires_grad_()
    fast(given).sum().backward()
    assert given.grad is not None
    with torch.no_grad():
        fast(torch.zeros(1, 3, 24, 16))
    assert run.runs == 1
