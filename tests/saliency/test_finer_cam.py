"""Finer-CAM: rivals are chosen on the undisturbed scores, and their shares are constant."""

from typing import Any

import pytest
import torch
from torch import nn

from saliency import Contrast, Counter, Rank, UnsuitableError, explain
from tests.nets import GapHead, images, make

BIAS = torch.tensor([0.0, 3.0, 2.5, -4.0, 2.0], dtype=torch.float64)


def _net() -> GapHead:
    net, _ = make("gap head")
    assert isinstance(net, GapHead)
    net.head.bias.data.copy_(BIAS)  # so far apart that the order of the classes is the same for all images
    return net


@pytest.mark.parametrize(("target", "rivals"), [(1, [2, 4, 0]), (0, [4, 2, 1]), (3, [0, 4, 2])])
def test_finer_cam_on_a_gap_head_is_the_weights_less_those_of_the_rivals(target: int, rivals: list[int]) -> None:
    net, x = _net(), images(2)
    found = explain(net, x, [target] * 2, "finer-cam", "trunk")
    with torch.no_grad():
        chances = torch.softmax(net(x), 1)[:, rivals]
    activation, weight = net.trunk(x).detach(), net.head.weight.detach()
    for i in range(2):
        shares = chances[i] / chances[i].sum()
        difference = sum(share * (weight[target] - weight[d]) for share, d in zip(shares, rivals, strict=True))
        expected = torch.einsum("k,khw->hw", difference, activation[i]) / 64
        torch.testing.assert_close(found.maps[i], expected.clamp_min(0).float())
    torch.testing.assert_close(found.scores, found.outputs[:, target].float())
    assert [row[0].index for row in found.targets] == [target] * 2


def test_ranks_and_counterfactuals_have_the_rivals_of_their_class() -> None:
    net, x = _net(), images(2)
    by_class = explain(net, x, [1, 1], "finer-cam", "trunk").maps
    torch.testing.assert_close(explain(net, x, [Rank(0)] * 2, "finer-cam", "trunk").maps, by_class)
    against = explain(net, x, [Counter(1)] * 2, "finer-cam", "trunk").maps
    assert (by_class * against == 0).all()
    assert (against > 0).any()


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_few_classes_have_few_rivals(classes: int) -> None:
    net: Any = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    )
    net, x = net.double().eval(), images(1)
    weight = net[4].weight.detach()
    rivals = [d for d in range(classes) if d != 0]
    shares = torch.softmax(net(x)[0, rivals], 0).detach()
    difference = weight[0] - (shares[:, None] * weight[rivals]).sum(0)
    expected = torch.einsum("k,khw->hw", difference, net[1](net[0](x))[0].detach()) / 14**2
    torch.testing.assert_close(explain(net, x, [0], "finer-cam", "1").maps[0], expected.clamp_min(0).float())


def test_saturated_scores_have_finite_shares() -> None:
    net, x = _net(), images(1)
    net.head.bias.data.mul_(1e6)
    found = explain(net, x, [1], "finer-cam", "trunk")
    difference = net.head.weight[1] - net.head.weight[2]
    expected = torch.einsum("k,khw->hw", difference, net.trunk(x)[0]).detach() / 64
    torch.testing.assert_close(found.maps[0], expected.clamp_min(0).float())


def test_outputs_that_are_no_class_scores_are_refused() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3)).double().eval()
    with pytest.raises(UnsuitableError, match=r"finer-cam does not work on this model: it compares class scores"):
        explain(net, images(1), [lambda output: output.sum()], "finer-cam", "0")


def test_contrasts_may_weigh_what_they_are_against() -> None:
    target = Contrast(Rank(0), (0, 2), (0.25, 0.75))
    output = torch.tensor([1.0, 5.0, 3.0])
    assert target(output) == 5.0 - 2.5
    assert target.resolve(output)(output.flip(0) * 2) == 10.0 - (0.25 * 6.0 + 0.75 * 2.0)
