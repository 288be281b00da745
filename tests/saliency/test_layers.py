"""Which layer is read."""

from typing import Any

import pytest
import torch
from torchvision import models

from saliency import LayerError, explain
from tests.nets import images, make


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet18", "layer4"),
        ("vgg11", "features"),
        ("alexnet", "features"),
        ("densenet121", "features"),
        ("mobilenet_v3_small", "features"),
        ("efficientnet_b0", "features"),
        ("convnext_tiny", "features"),
    ],
)
def test_the_last_spatial_output_before_pooling_is_chosen(name: str, layer: str) -> None:
    net = models.get_model(name, weights=None).eval()
    found = explain(net, torch.zeros(1, 3, 96, 96), [0])
    assert found.layers == (layer,)


def test_modules_names_and_lists_mean_the_same() -> None:
    net, layer = make("gap head")
    x = images(1)
    expected = explain(net, x, [0], layers=layer)
    for given in (net.get_submodule(layer), [layer], [net.get_submodule(layer)]):
        found = explain(net, x, [0], layers=given)
        assert found.layers == expected.layers
        torch.testing.assert_close(found.maps, expected.maps)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("trunc", "no layer 'trunc'; near: trunk"),
        (["trunk", "nothing.like.it"], "no layer 'nothing.like.it'"),
        ([], "empty"),
        (["trunk", "trunk"], "twice"),
        ("head", "no rows and columns"),
        (torch.nn.ReLU(), "not part of the model"),
    ],
)
def test_layers_that_cannot_be_read_raise(layers: Any, message: str) -> None:
    net, _ = make("gap head")
    with pytest.raises(LayerError, match=message):
        explain(net, images(1), [0], layers=layers)


def test_a_layer_that_does_not_run_raises() -> None:
    net, layer = make("gap head")
    net.add_module("idle", torch.nn.Conv2d(3, 3, 1))
    with pytest.raises(LayerError, match="layer 'idle' did not run"):
        explain(net, images(1), [0], layers=["idle", layer])


def test_a_layer_that_the_score_does_not_use_raises() -> None:
    class Aside(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = torch.nn.Conv2d(3, 4, 3)
            self.aside = torch.nn.Conv2d(3, 4, 3)
            self.head = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.aside(x)
            return self.head(self.trunk(x).mean((2, 3)))

    net = Aside().eval()
    with pytest.raises(LayerError, match="layer 'aside' does not reach"):
        explain(net, images(1).float(), [0], layers=["trunk", "aside"])
    with pytest.raises(LayerError, match="do not depend on layer 'aside'"):
        explain(net.requires_grad_(False), images(1).float(), [0], layers="aside")


def test_a_model_without_spatial_layers_says_so() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 2)).eval()
    with pytest.raises(LayerError, match="name one in layers"):
        explain(net, images(1).float(), [0])


def test_a_model_in_training_mode_is_refused() -> None:
    net, layer = make("residual")
    with pytest.raises(ValueError, match="training mode"):
        explain(net.train(), images(1), [0], layers=layer)
