"""Conceptor-CAM against formulas without Boolean operations, in float64; and what must not change its maps."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saliency import Contrast, Counter, OptionError, UnsuitableError, explain
from saliency.families import conceptor_cam
from tests.nets import images, make

pytestmark = pytest.mark.usefixtures("one_core")

BASES = ["grad-cam", "grad-cam++", "hires-cam", "layer-cam", "score-cam", "xgrad-cam"]
NEGATIVES = ["opposite", "rivals", "background", "remainder", "none"]
WEIGHTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "grad-cam": lambda a, g: g.mean((1, 2), keepdim=True),
    "hires-cam": lambda a, g: g,
    "layer-cam": lambda a, g: g.relu(),
    "xgrad-cam": lambda a, g: (g * a).sum((1, 2), keepdim=True) / a.sum((1, 2), keepdim=True),
}
"""What a base multiplies the activation with, of A and its gradient, both ``[C, h, w]``."""


def _rest(net: Any, activation: Tensor) -> Tensor:
    """The scores of the curved head for one activation ``[C, h, w]``."""
    return net.head(net.body(activation[None]))[0]


def _evidence(net: Any, image: Tensor, target: int, base: str = "hires-cam") -> tuple[Tensor, Tensor]:
    """A and E ``[C, h, w]`` of the curved head in one image."""
    activation = net.trunk(image[None])[0].detach()
    gradient = torch.autograd.functional.jacobian(lambda a: _rest(net, a)[target], activation)
    return activation, WEIGHTS[base](activation, gradient) * activation


def _upsampled(values: Tensor, side: int) -> Tensor:
    return F.interpolate(values[None, None], size=(side, side), mode="bilinear", align_corners=False)[0, 0]


def _expected(activation: Tensor, evidence: Tensor, negatives: list[Tensor], aperture: float, objective: str) -> Tensor:
    """The map by ``C⁺ ∧ ¬(C¹ ∨ C²) = (I + R M)⁻¹ R``, with ``M = I + R¹ + R²`` and all correlations times α²."""
    a, positive = activation.flatten(1), evidence.flatten(1).relu()
    scale = aperture / positive.square().mean().sqrt()

    def passes(states: Tensor, axis: str) -> Tensor:
        correlations = []
        for piece in (positive, *(negative.flatten(1).relu() for negative in negatives)):
            data = scale * (piece if axis == "channels" else piece.T)
            correlations.append(data @ data.T / data.shape[1])
        one = torch.eye(len(correlations[0]), dtype=torch.float64)
        own, against = correlations[0], one + sum(correlations[1:], torch.zeros_like(one))
        return torch.linalg.solve(one + own @ against, own) @ states

    if objective == "sum":
        cells = passes(passes(positive, "channels").T, "cells").sum(1).relu()
    else:
        norms = passes(a, "channels").norm(dim=0) * passes(a.T, "cells").norm(dim=1)
        cells = norms.sqrt() / a.norm(dim=0)
    return cells.view(activation.shape[1:]).float()


def _negatives(net: Any, image: Tensor, target: int, kind: str) -> list[Tensor]:
    """What each kind of negative evidence is, of HiRes-CAM."""
    activation, evidence = _evidence(net, image, target)
    seen = evidence.sum(0).relu()
    seen = (seen - seen.min()) / (seen.max() - seen.min())
    match kind:
        case "opposite":
            mean = (activation * evidence).sum() / activation.square().sum()
            return [mean * activation - evidence]
        case "rivals":
            order = _rest(net, activation).argsort(descending=True).tolist()
            return [_evidence(net, image, rival)[1] for rival in order if rival != target][:3]
        case "background":
            return [evidence * (1 - seen)]
        case "remainder":
            return [_evidence(net, image * (1 - _upsampled(seen, image.shape[-1])), target)[1]]
        case _:
            return []


@pytest.mark.parametrize("objective", ["share", "sum"])
@pytest.mark.parametrize("negative", NEGATIVES)
@pytest.mark.parametrize("aperture", [0.3, 3.0])
def test_maps_are_those_of_the_formula(negative: str, objective: str, aperture: float) -> None:
    net, layer = make("curved head")
    x = images(2)
    options: Any = {"base": "hires-cam", "negative": negative, "aperture": aperture, "objective": objective}
    found = explain(net, x, [[1, 3]] * 2, "conceptor-cam", layer, **options).maps
    for i in range(2):
        for k, target in enumerate([1, 3]):
            pieces = _negatives(net, x[i], target, negative)
            expected = _expected(*_evidence(net, x[i], target), pieces, aperture, objective)
            assert expected.max() > 0
            torch.testing.assert_close(found[i, k], expected, rtol=1e-3, atol=1e-4 * float(expected.max()))


@pytest.mark.parametrize("base", WEIGHTS)
def test_the_evidence_is_what_the_base_adds_up(base: str) -> None:
    net, layer = make("curved head")
    x = images(2)
    found = explain(net, x, [1, 3], "conceptor-cam", layer, base=base, negative="none", aperture=0.5).maps
    for i, target in enumerate([1, 3]):
        expected = _expected(*_evidence(net, x[i], target, base), [], 0.5, "share")
        torch.testing.assert_close(found[i], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("base", ["grad-cam++", "layer-cam", "score-cam"])
def test_a_large_aperture_gives_the_map_of_a_base_without_negative_terms(base: str) -> None:
    net, layer = make("gap head")  # rectified activations, so that terms are of the sign of their weights
    x = images(2)
    options: Any = {"base": base, "negative": "none", "objective": "sum", "aperture": 100.0}
    found = explain(net, x, [1, 3], "conceptor-cam", layer, **options).maps
    expected = explain(net, x, [1, 3], base, layer).maps
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02 * float(expected.max()))


@pytest.mark.parametrize("negative", NEGATIVES)
@pytest.mark.parametrize("base", BASES)
def test_a_batch_of_many_targets_gives_what_single_calls_give(base: str, negative: str) -> None:
    net, layer = make("residual")
    x = images(2)
    options: Any = {"base": base, "negative": negative}
    rows = [[0, 3], [2, 1]]
    together = explain(net, x, rows, "conceptor-cam", layer, **options)
    for i in range(2):
        for k in range(2):
            alone = explain(net, x[i : i + 1], [rows[i][k]], "conceptor-cam", layer, **options)
            torch.testing.assert_close(together.maps[i, k], alone.maps[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("negative", NEGATIVES)
@pytest.mark.parametrize("base", WEIGHTS)
def test_the_unit_of_the_score_does_not_matter(base: str, negative: str) -> None:
    net, layer = make("gap head")
    x = images(2)
    options: Any = {"base": base, "negative": negative}
    expected = explain(net, x, [1, 3], "conceptor-cam", layer, **options).maps
    head: Any = net.head
    head.weight.data.mul_(1e25)
    head.bias.data.mul_(1e25)
    found = explain(net, x, [1, 3], "conceptor-cam", layer, **options).maps
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_order_of_channels_does_not_matter() -> None:
    net, layer = make("gap head")
    x = images(2)
    expected = explain(net, x, [1, 3], "conceptor-cam", layer).maps
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    trunk: Any = net.get_submodule(layer)
    trunk[2].weight.data, trunk[2].bias.data = trunk[2].weight.data[order], trunk[2].bias.data[order]
    head: Any = net.head
    head.weight.data = head.weight.data[:, order]
    torch.testing.assert_close(explain(net, x, [1, 3], "conceptor-cam", layer).maps, expected)


def test_negative_evidence_takes_away() -> None:
    """In the plain evidence, ``C⁺ ∧ ¬C⁻ ≤ C⁺``; what a rival shares with the target goes with it."""
    net, layer = make("gap head")
    head: Any = net.head
    head.weight.data[1:] = head.weight.data[:1]  # all classes speak of the same channels
    x = images(2)
    options: Any = {"aperture": 3.0, "objective": "sum"}
    free = explain(net, x, [0, 0], "conceptor-cam", layer, negative="none", **options).maps
    held = explain(net, x, [0, 0], "conceptor-cam", layer, negative="rivals", **options).maps
    assert (held.sum((1, 2)) < 0.5 * free.sum((1, 2))).all()


def test_callables_and_contrasts_have_the_rivals_of_their_class() -> None:
    net, layer = make("gap head")
    x = images(2)

    def maps(target: Any) -> Tensor:
        return explain(net, x, [target] * 2, "conceptor-cam", layer, negative="rivals").maps

    torch.testing.assert_close(maps(lambda output: output[3]), maps(3))
    assert maps(Contrast(3, (1,))).isfinite().all()
    assert (maps(Counter(3)) != maps(3)).any()


def test_a_model_of_two_classes_has_one_rival() -> None:
    net: Any = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net = net.append(nn.Linear(6, 2)).double().eval()
    found = explain(net, images(2), [0, 1], "conceptor-cam", "1", negative="rivals")
    assert (found.maps > 0).any(-1).any(-1).all()


@pytest.mark.parametrize("classes", [1, None])
def test_without_other_classes_there_are_no_rivals(classes: int | None) -> None:
    tail = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)] if classes else []
    net = nn.Sequential(nn.Conv2d(3, 4, 3), *tail).double().eval()
    with pytest.raises(UnsuitableError, match=r"negative = rivals compares class scores, .*; choose another negative"):
        explain(net, images(1), [lambda output: output.sum()], "conceptor-cam", "0", negative="rivals")


def test_several_layers_fuse() -> None:
    net, _ = make("residual")
    for negative in NEGATIVES:
        found = explain(net, images(2), [1, 3], "conceptor-cam", ["stem", "blocks"], negative=negative).maps
        assert found.shape == (2, 8, 8)
        assert (found.amax((1, 2)) > 0).all()


def test_memory_is_bounded_without_changing_the_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    net, layer = make("residual")
    expected = explain(net, images(3), [[0, 1]] * 3, "conceptor-cam", layer).maps
    monkeypatch.setattr(conceptor_cam, "ELEMENTS", 1)
    torch.testing.assert_close(explain(net, images(3), [[0, 1]] * 3, "conceptor-cam", layer).maps, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": "opti-cam"}, "option base must be one of grad-cam, "),
        ({"negative": "all"}, "option negative must be one of opposite, "),
        ({"aperture": 0.0}, "option aperture must lie in "),
        ({"objective": "mask"}, "option objective must be one of share, sum"),
    ],
)
def test_options_out_of_bounds_are_refused(options: dict[str, Any], message: str) -> None:
    net, layer = make("gap head")
    with pytest.raises(OptionError, match=message):
        explain(net, images(1), [0], "conceptor-cam", layer, **options)
