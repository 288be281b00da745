"""Principal components of activations, against numpy in float64."""

import numpy as np
import pytest
import torch
from torch import nn

from saliency import Counter, explain
from saliency.targets import Target
from tests.nets import images, make

WIDE, DEEP = "more cells than channels", "more channels than cells"


def _net(shape: str) -> nn.Sequential:
    """A net whose layer 0 has 64 cells of 6 channels, or 16 cells of 24 channels."""
    first = nn.Conv2d(3, 6, 2, stride=2) if shape == WIDE else nn.Conv2d(3, 24, 4, stride=4)
    head = nn.Sequential(nn.Flatten(), nn.Linear(384, 8), nn.Tanh(), nn.Linear(8, 4))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for layer in (first, head[1], head[3]):
            layer.reset_parameters()
    return nn.Sequential(first, head).double().eval()


def _component(cells: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """``M v`` of cells ``[Z, C]``, with the sign that agrees with the reference ``[Z]``."""
    component = cells @ np.linalg.svd(cells)[2][0]
    return component * np.sign(component @ reference)


@pytest.mark.parametrize("shape", [WIDE, DEEP])
def test_eigen_cam_is_the_first_singular_vector(shape: str) -> None:
    net, x = _net(shape), images(2)
    found = explain(net, x, [[0, 1]] * 2, "eigen-cam", "0").maps
    for i, activation in enumerate(net[0](x).detach().numpy()):
        cells = activation.reshape(len(activation), -1).T
        expected = _component(cells, np.abs(cells).mean(1)).clip(0).reshape(activation.shape[1:])
        for k in range(2):
            np.testing.assert_allclose(found[i, k].numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [WIDE, DEEP])
def test_eigen_grad_cam_is_the_first_singular_vector_of_gradient_times_activation(shape: str) -> None:
    net, x = _net(shape), images(2)
    rows: list[list[Target]] = [[0, Counter(0)], [2, Counter(2)]]
    found = explain(net, x, rows, "eigen-grad-cam", "0").maps
    for i, target in enumerate([0, 2]):
        activation = net[0](x)[i].detach()
        gradient = torch.autograd.functional.jacobian(lambda a, c=target: net[1](a[None])[0, c], activation)
        cells = (gradient * activation).numpy().reshape(len(activation), -1).T
        component = _component(cells, cells.sum(1)).reshape(activation.shape[1:])
        np.testing.assert_allclose(found[i, 0].numpy(), component.clip(0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found[i, 1].numpy(), (-component).clip(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [WIDE, DEEP])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 10.0])
def test_kpca_cam_is_the_first_component_of_the_centred_sigmoid_kernel(shape: str, scale: float) -> None:
    net, x = _net(shape), images(2) * scale
    net[0].bias.data.zero_()
    found = explain(net, x, [0, 1], "kpca-cam", "0").maps
    for i, activation in enumerate(net[0](x).detach().numpy()):
        cells = activation.reshape(len(activation), -1).T
        centred = cells - cells.mean(0)
        kernel = np.tanh(centred @ centred.T / cells.shape[1] + 1)
        middle = np.eye(len(cells)) - 1 / len(cells)
        values, vectors = np.linalg.eigh(middle @ kernel @ middle)
        component = np.sqrt(values[-1]) * vectors[:, -1]
        component *= np.sign(component @ np.abs(cells).mean(1))
        expected = component.clip(0).reshape(activation.shape[1:])
        np.testing.assert_allclose(found[i].numpy(), expected, rtol=1e-3, atol=1e-4 * expected.max())


@pytest.mark.parametrize("method", ["eigen-cam", "kpca-cam", "fem"])
def test_the_target_makes_no_difference(method: str) -> None:
    net, layer = make("residual")
    found = explain(net, images(2), [[0, 3, 4]] * 2, method, layer)
    assert found.maps.shape[:2] == (2, 3)
    assert (found.maps == found.maps[:, :1]).all()
    assert len(set(found.scores[0].tolist())) == 3
