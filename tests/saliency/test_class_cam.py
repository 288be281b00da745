"""CAM on models that end in a linear layer on a global average, and its refusal of others."""

import pytest
import torch
from torch import nn

from saliency import Contrast, Counter, UnsuitableError, explain, method
from tests.nets import GapHead, images, make


def test_cam_is_the_classes_weights_on_the_activation() -> None:
    net, x = make("gap head")[0], images(2)
    assert isinstance(net, GapHead)
    activation = net.trunk(x).detach()
    expected = torch.stack(
        [sum(net.head.weight[c, k] * activation[i, k] for k in range(12)) for i, c in enumerate([4, 0])]
    )
    found = explain(net, x, [4, 0], "cam", "trunk")
    assert (found.maps < 0).any()
    torch.testing.assert_close(found.maps, expected.detach().float())


@pytest.mark.parametrize("kind", ["gap head", "residual", "tuple output"])
def test_cam_is_grad_cam_times_the_number_of_cells(kind: str) -> None:
    net, layer = make(kind)
    x = images(2)
    for target in (1, Contrast(1, (0, 2)), Counter(3), lambda output: output[2] ** 2):
        signed = explain(net, x, [target] * 2, "cam", layer).maps
        scaled = explain(net, x, [target] * 2, "grad-cam", layer).maps * signed[0].numel()
        torch.testing.assert_close(signed.clamp_min(0), scaled, rtol=1e-5, atol=1e-6)


def test_the_linear_layer_may_have_no_bias_and_follow_dropout_and_pooling_modules() -> None:
    head = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(6, 6, bias=False), nn.Identity()
    )
    net = nn.Sequential(nn.Conv2d(3, 6, 3), head).double().eval()
    net[0].decoy = nn.Linear(6, 6)  # of the right shape, but not what makes the outputs
    x = images(1)
    expected = torch.einsum("k,khw->hw", head[3].weight[5], net[0](x)[0]).detach().float()
    torch.testing.assert_close(explain(net, x, [5], "cam", "0").maps[0], expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_more_than_a_linear_layer_is_refused_in_every_precision(dtype: torch.dtype) -> None:
    net = make("gap head")[0]
    net.head = nn.Sequential(nn.Linear(12, 5), nn.Tanh())
    net.head[0].bias.data.fill_(2.0)
    net, x = net.to(dtype), images(2).to(dtype)
    with pytest.raises(UnsuitableError, match=r"global average of layer 'trunk'; grad-cam asks for no such thing"):
        explain(net, x, [0, 1], "cam", "trunk")


def test_layers_before_the_last_and_several_layers_are_refused() -> None:
    net, x = make("gap head")[0], images(1)
    with pytest.raises(UnsuitableError, match=r"layer 'trunk.2'"):
        explain(net, x, [0], "cam", "trunk.2")
    with pytest.raises(UnsuitableError, match="name only that"):
        explain(net, x, [0], "cam", ["trunk", "trunk.2"])


def test_scores_that_are_no_vector_are_refused() -> None:
    net = nn.Sequential(make("gap head")[0], nn.Unflatten(1, (1, 5))).eval()
    with pytest.raises(UnsuitableError, match=r"global average of layer '0\.trunk'"):
        explain(net, images(3), [lambda output: output[0, 1]] * 3, "cam", "0.trunk")


def test_models_without_a_linear_layer_are_known_beforehand() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double().eval()
    assert method("cam").unsuitable(net) == "it has no linear layer on a global average"
    with pytest.raises(UnsuitableError, match="no linear layer"):
        explain(net, images(1), [0], "cam", "0")
