"""Untrained networks: what Grad-CAM shows behind the wall, against the closed form."""

import math

import pytest
import torch

from evaluation.audits.walls.audit import at_initialisation
from evaluation.audits.walls.initialisation import UntrainedBlindNetwork, behind_untrained_wall
from saliency import explain


def _network(draws: int, seed: int = 0) -> tuple[UntrainedBlindNetwork, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    network = UntrainedBlindNetwork(side=16, channels=6, seen_rows=4, draws=draws, generator=generator)
    return network.eval(), torch.randn(3, 16, 16, generator=generator)


def test_what_is_behind_the_wall_moves_nothing() -> None:
    network, image = _network(3)
    changed = image.clone()
    changed[:, network.wall + 1 :] = 100  # the convolution looks one row beyond
    with torch.no_grad():
        assert torch.equal(network(image[None]), network(changed[None]))


def test_a_channels_weight_is_the_sum_of_its_dense_weights() -> None:
    network, image = _network(2)
    found = explain(network, image[None], [[0, 1]], "grad-cam", "relu").maps[0].double()
    maps = network.relu(network.convolution(image[None]))[0].detach().double()
    weights = network.dense.weight.detach().double().view(2, 6, -1).sum(2) / (16 * 16)
    torch.testing.assert_close(found, torch.einsum("kc,chw->khw", weights, maps).relu(), rtol=1e-4, atol=1e-6)


def test_grad_cam_is_as_the_closed_form_says() -> None:
    network, image = _network(4096)
    found = behind_untrained_wall(network, image, "grad-cam")
    maps = network.relu(network.convolution(image[None]))[0].detach().double()
    norms = maps[:, 8:].square().sum(0).sqrt()
    assert found.expected_mean == pytest.approx(float(norms.mean()) / math.sqrt(2 * math.pi))
    # The standard error of the mean is at most sqrt(π - 1) / sqrt(4096) of it, 2.3 %.
    assert found.mean == pytest.approx(found.expected_mean, rel=0.07)
    fires = float((norms > 0).double().mean())
    assert found.positive == pytest.approx(fires / 2, abs=0.03)


def test_hires_cam_is_zero_there() -> None:
    found = behind_untrained_wall(*_network(8), "hires-cam")
    assert found.mean == 0
    assert found.positive == 0


def test_figures_are_over_networks() -> None:
    found = at_initialisation("grad-cam", networks=4, draws=64)
    assert found.ratio.spread is not None
    assert found.ratio.mean == pytest.approx(1, abs=0.3)
    assert found.positive.mean == pytest.approx(50, abs=10)
