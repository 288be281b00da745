"""The blind network: what it cannot see, what it can, and that it is the paper's."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from evaluation.audits.walls.audit import BLIND
from evaluation.audits.walls.measure import shown
from evaluation.audits.walls.network import MaskedVGG, build, masked_vgg16
from evaluation.classifier import load_classifier
from saliency import explain

VGG16_THIN = ((4, 4), (4, 4), (8, 8, 8), (8, 8, 8), (8, 8, 4))


def _thin(seen_rows: int = 5) -> MaskedVGG:
    torch.manual_seed(0)
    return MaskedVGG(VGG16_THIN, side=224, seen_rows=seen_rows, hidden=(16,), classes=3).eval()


def _trained() -> nn.Module:
    return load_classifier(BLIND).network


@pytest.mark.parametrize(("make", "side", "wall"), [(_thin, 224, 170), (_trained, 112, 83)])
def test_logits_are_bit_identical_whatever_is_behind_the_wall(
    make: Callable[[], MaskedVGG], side: int, wall: int
) -> None:
    network = make()
    assert network.wall == wall
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 3, side, side, generator=generator)
    with torch.no_grad():
        before = network(images)
        for strip in (torch.zeros(()), torch.full((), 1e4), torch.randn(2, 3, side - wall, side, generator=generator)):
            changed = images.clone()
            changed[:, :, wall:] = strip
            assert torch.equal(network(changed), before)
        changed = images.clone()
        changed[:, :, wall - 1] += 10
        assert not torch.equal(network(changed), before)


def test_the_papers_network() -> None:
    with torch.device("meta"):
        network = masked_vgg16(1000)
    assert network.wall == 224 - 54
    assert network.features(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 256, 14, 14)
    assert network(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 1000)
    convolutions = [layer for layer in network.features if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64, 64, 128, 128, *[256] * 3, *[512] * 5, 256]
    dense = [layer for layer in network.classifier if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in dense] == [
        (256 * 5 * 14, 4096),
        (4096, 4096),
        (4096, 1000),
    ]
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


def test_reading_no_row_is_having_weights_of_zero_for_it() -> None:
    network = _thin()
    first = network.classifier[0]
    assert isinstance(first, nn.Linear)
    whole = nn.Linear(4 * 14 * 14, first.out_features)
    masked = torch.zeros(first.out_features, 4, 14, 14)
    masked[:, :, :5] = first.weight.detach().view(-1, 4, 5, 14)
    whole.load_state_dict({"weight": masked.flatten(1), "bias": first.bias})
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        rest = nn.Sequential(nn.Flatten(), whole, *list(network.classifier)[1:])
        torch.testing.assert_close(rest(network.features(images)), network(images))


def test_without_a_wall_the_last_row_is_seen() -> None:
    network = _thin(seen_rows=14)
    assert network.wall == 224
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(3))
    changed = images.clone()
    changed[:, :, -1] += 10
    with torch.no_grad():
        assert not torch.equal(network(changed), network(images))


@pytest.mark.parametrize(("make", "side"), [(_thin, 224), (_trained, 112)])
def test_pixelwise_products_are_zero_behind_the_wall_and_grad_cam_is_not(
    make: Callable[[], MaskedVGG], side: int
) -> None:
    network = make()
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(4))

    def maps(method: str) -> torch.Tensor:
        options: dict[str, Any] = {"steps": 2} if method == "integrated-gradients" else {}
        return shown(explain(network, images, [0, 1], method, **options).maps, (side, side))

    for method in ("hires-cam", "layer-cam", "grad-cam-elementwise", "input-gradient", "integrated-gradients"):
        assert not maps(method)[:, network.wall :].any(), method
        assert maps(method)[:, : network.wall].any(), method
    assert maps("grad-cam")[:, network.wall :].any()


def test_wrong_sizes_are_told() -> None:
    with pytest.raises(ValueError, match="side must be divisible by 16"):
        MaskedVGG(VGG16_THIN, side=100, seen_rows=5, hidden=(), classes=2)
    with pytest.raises(ValueError, match="seen_rows must lie in 1 to 14"):
        MaskedVGG(VGG16_THIN, side=224, seen_rows=15, hidden=(), classes=2)


def test_the_network_for_scenes_is_the_one_that_is_stored() -> None:
    assert load_classifier(BLIND).network.state_dict().keys() == build().state_dict().keys()
