"""Values of gradient-weighted CAMs against closed forms in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saliency import Contrast, Counter, Rank, WarningKind, explain, normalize
from saliency.targets import Target
from tests.nets import FlatHead, GapHead, images, make


def _gap_parts() -> tuple[GapHead, torch.Tensor, torch.Tensor, torch.Tensor]:
    net, _ = make("gap head")
    assert isinstance(net, GapHead)
    x = images(3)
    with torch.no_grad():
        return net, x, net.trunk(x), net.head.weight


def test_grad_cam_on_a_gap_head_is_the_class_weights_over_the_cells() -> None:
    # y_c = Σ_k W_ck mean_ij A^k_ij + b, so ∂y_c/∂A^k_ij = W_ck / Z and the mean gradient is the same.
    net, x, activation, weight = _gap_parts()
    classes = [0, 3, 4]
    cells = activation.shape[-2] * activation.shape[-1]
    expected = torch.stack([(weight[c, :, None, None] * activation[i]).sum(0) for i, c in enumerate(classes)]) / cells
    found = explain(net, x, classes, "grad-cam", "trunk")
    torch.testing.assert_close(found.maps, expected.clamp_min(0).float())


def test_grad_cam_on_a_flat_head_is_the_mean_of_the_heads_jacobian() -> None:
    net, layer = make("flat head")
    x = images(2)
    features = net.features(x).detach()
    jacobian = torch.stack(
        [torch.autograd.functional.jacobian(lambda a: net.head(a.flatten()), features[i]) for i in range(2)]
    )
    expected = torch.stack(
        [(jacobian[i, c].mean((1, 2))[:, None, None] * features[i]).sum(0) for i, c in enumerate([1, 2])]
    )
    torch.testing.assert_close(explain(net, x, [1, 2], "grad-cam", layer).maps, expected.clamp_min(0).float())


def test_the_activation_is_captured_before_what_follows_changes_it_in_place() -> None:
    net, layer = make("in place")
    x = images(1)
    kept: list[torch.Tensor] = []
    handle = net.get_submodule(layer).register_forward_hook(lambda _m, _i, out: kept.append(out.detach().clone()))
    with torch.no_grad():
        net(x)
    handle.remove()
    assert (kept[0] < 0).any()
    block = net.blocks[0]

    def rest(a: torch.Tensor) -> torch.Tensor:
        out = torch.relu(a + net.stem(x))
        return net.head(net.blocks[1](out).mean((2, 3)))[0]

    gradient = torch.autograd.functional.jacobian(rest, kept[0])[2]
    expected = (gradient.mean((-2, -1), keepdim=True) * kept[0]).sum(1)
    assert block.norm is net.get_submodule(layer)
    torch.testing.assert_close(explain(net, x, [2], "grad-cam", layer).maps, expected.clamp_min(0).float())


def test_counter_negates_the_gradient() -> None:
    net, x, activation, weight = _gap_parts()
    cells = activation.shape[-2] * activation.shape[-1]
    expected = -(weight[1, :, None, None] * activation[0]).sum(0) / cells
    found = explain(net, x[:1], [Counter(1)], "grad-cam", "trunk")
    torch.testing.assert_close(found.maps[0], expected.clamp_min(0).float())
    assert found.scores[0] == -found.outputs[0, 1].float()


def test_contrast_uses_the_difference_of_weights() -> None:
    net, x, activation, weight = _gap_parts()
    cells = activation.shape[-2] * activation.shape[-1]
    difference = weight[1] - (weight[2] + weight[4]) / 2
    expected = (difference[:, None, None] * activation[0]).sum(0) / cells
    found = explain(net, x[:1], [Contrast(1, (2, 4))], "grad-cam", "trunk")
    torch.testing.assert_close(found.maps[0], expected.clamp_min(0).float())


def test_no_targets_explains_the_top_class() -> None:
    net, x, _, _ = _gap_parts()
    found = explain(net, x, layers="trunk")
    top = found.outputs.argmax(1).tolist()
    torch.testing.assert_close(found.maps, explain(net, x, top, layers="trunk").maps)
    second = explain(net, x, [Rank(1)] * 3, layers="trunk")
    assert [row[0].index for row in second.targets] == found.outputs.topk(2).indices[:, 1].tolist()


def test_all_negative_evidence_is_said() -> None:
    net, x, _, _ = _gap_parts()
    net.head.weight.data.copy_(-net.head.weight.abs())
    found = explain(net, x[:1], [0], "grad-cam", "trunk")
    assert (found.maps == 0).all()
    assert [w.kind for w in found.warnings] == [WarningKind.ALL_NEGATIVE]


def test_several_layers_are_normalised_and_fused() -> None:
    net, x, _, _ = _gap_parts()
    single = [normalize(explain(net, x, [0, 1, 2], "grad-cam", f"trunk.{i}").maps) for i in (0, 2)]
    for how, expected in {
        "mean": (single[0] + single[1]) / 2,
        "max": torch.maximum(*single),
        "product": single[0] * single[1],
    }.items():
        found = explain(net, x, [0, 1, 2], "grad-cam", ["trunk.0", "trunk.2"], fusion=how)
        assert found.layers == ("trunk.0", "trunk.2")
        torch.testing.assert_close(found.maps, expected, rtol=1e-4, atol=1e-6)


def _flat_parts() -> tuple[FlatHead, Tensor, Tensor, Tensor]:
    """A net with an MLP head, two images, their activations and the gradients of the classes ``[2, 5, C, h, w]``."""
    net, _ = make("flat head")
    assert isinstance(net, FlatHead)
    x = images(2)
    features = net.features(x).detach()
    jacobian = torch.autograd.functional.jacobian
    return net, x, features, torch.stack([jacobian(lambda a: net.head(a.flatten()), image) for image in features])


def _signed(net: nn.Module, x: Tensor, target: int, method: str, layer: str) -> Tensor:
    """The map before its ReLU."""
    row: list[Target] = [target, Counter(target)]
    found = explain(net, x, [row] * len(x), method, layer)
    return found.maps[:, 0] - found.maps[:, 1]


def test_methods_that_weigh_cells_against_their_definitions() -> None:
    net, x, features, gradient = _flat_parts()
    classes = [1, 3]
    for i, c in enumerate(classes):
        expected = {name: torch.zeros(4, 4).double() for name in ("hires-cam", "grad-cam-elementwise", "layer-cam")}
        for k in range(features.shape[1]):
            for row in range(4):
                for column in range(4):
                    a, g = features[i, k, row, column], gradient[i, c, k, row, column]
                    expected["hires-cam"][row, column] += g * a
                    expected["grad-cam-elementwise"][row, column] += (g * a).clamp_min(0)
                    expected["layer-cam"][row, column] += g.clamp_min(0) * a
        for method, wanted in expected.items():
            found = explain(net, x, classes, method, "features")
            torch.testing.assert_close(found.maps[i], wanted.clamp_min(0).float())


def test_xgrad_cam_against_its_definition() -> None:
    net, x, features, gradient = _flat_parts()
    x[1] = 0.0
    net.features[0].bias.data[3] = -100.0  # a dead channel has no weight
    features = net.features(x).detach()
    assert (features[:, 3] == 0).all()
    head = torch.autograd.functional.jacobian
    for i, c in enumerate([1, 3]):
        gradient = head(lambda a, c=c: net.head(a.flatten())[c], features[i])
        expected = torch.zeros(4, 4).double()
        for activation, slope in zip(features[i], gradient, strict=True):
            if activation.sum() != 0:
                expected += (slope * activation).sum() / activation.sum() * activation
        found = explain(net, x, [1, 3], "xgrad-cam", "features")
        torch.testing.assert_close(found.maps[i], expected.clamp_min(0).float())


@pytest.mark.parametrize("method", ["hires-cam", "xgrad-cam", "shapley-cam"])
def test_on_a_gap_head_they_are_all_grad_cam(method: str) -> None:
    net, x, _, _ = _gap_parts()
    expected = _signed(net, x, 2, "grad-cam", "trunk")
    torch.testing.assert_close(_signed(net, x, 2, method, "trunk"), expected, rtol=1e-5, atol=1e-8)


def test_hires_cam_sums_to_the_score_less_the_bias() -> None:
    net = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 49, 4)).double().eval()
    x = images(2)
    found = explain(net, x, [3, 3], "hires-cam", "1")
    total = _signed(net, x, 3, "hires-cam", "1").sum((1, 2))
    torch.testing.assert_close(total, found.scores - net[3].bias[3].float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["hires-cam", "layer-cam", "grad-cam-elementwise", "eigen-grad-cam", "full-grad"])
def test_what_the_head_cannot_see_is_exactly_zero(method: str) -> None:
    # Methods with one weight per channel show the hidden rows too, as filters are shared.
    net, x, _, _ = _flat_parts()
    net.head[0].weight.data.view(24, 8, 4, 4)[:, :, 2:] = 0.0  # the head is blind to the lower half
    maps = explain(net, x, [1, 3], method, "features").maps
    rows = maps.shape[1]
    assert (maps[:, : rows // 2] > 0).any(-1).any(-1).all()
    # Rows of the image that reach the seen cells, and the reach of upsampling, end above these.
    assert (maps[:, rows * 3 // 4 :] == 0).all()
    assert (explain(net, x, [1, 3], "grad-cam", "features").maps[:, 3:] > 0).any()


def test_a_saturated_score_gives_no_evidence_and_says_so() -> None:
    net, x, _, _ = _gap_parts()
    net.head = nn.Sequential(net.head, nn.Softmax(-1))  # type: ignore[assignment]
    net.head[0].bias.data[0] = 1e5
    found = explain(net, x[:1], [1], "grad-cam", "trunk")
    assert (found.maps == 0).all()
    assert [w.kind for w in found.warnings] == [WarningKind.FLAT]


class _Doubled(torch.autograd.Function):
    """An operation of somebody's own, over whose backward PyTorch cannot batch."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        assert gradient.sum().item() is not None
        return gradient * 2


def test_heads_with_operations_that_cannot_be_batched_over() -> None:
    class Head(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return _Doubled.apply(super().forward(x).tanh())

    net, x, _, _ = _gap_parts()
    head = Head(12, 5).double()
    head.load_state_dict(net.head.state_dict())
    net.head = head
    for method in ("hires-cam", "shapley-cam"):
        together = explain(net, x, [[0, 1, 2]] * 3, method, "trunk").maps
        for target in range(3):
            torch.testing.assert_close(together[:, target], explain(net, x, [target] * 3, method, "trunk").maps)
