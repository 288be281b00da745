"""Values of gradient-weighted CAMs against closed forms in float64."""

import torch

from saliency import Contrast, Counter, Rank, WarningKind, explain
from tests.nets import GapHead, images, make


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
    from saliency import normalize

    single = [normalize(explain(net, x, [0, 1, 2], "grad-cam", f"trunk.{i}").maps) for i in (0, 2)]
    for how, expected in {
        "mean": (single[0] + single[1]) / 2,
        "max": torch.maximum(*single),
        "product": single[0] * single[1],
    }.items():
        found = explain(net, x, [0, 1, 2], "grad-cam", ["trunk.0", "trunk.2"], fusion=how)
        assert found.layers == ("trunk.0", "trunk.2")
        torch.testing.assert_close(found.maps, expected, rtol=1e-4, atol=1e-6)
