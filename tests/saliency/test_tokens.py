"""Layers that give tokens, or keep their channels last: where their cells lie, and which layer is chosen."""

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from saliency import LayerError, explain
from saliency.choice import last_spatial, resolve, spatial_layers
from saliency.hooks import watch
from saliency.layers import Layer
from saliency.survey import survey
from tests import nets
from tests.transformers import CASES, CLASSES, make

each_case = pytest.mark.parametrize("kind", CASES)


def _spatial(net: nn.Module, layer: Layer, x: Tensor) -> Tensor:
    """The layer's output as ``[B, C, h, w]``."""
    kept: list[Tensor] = []
    with watch({layer.module: lambda output: kept.append(layer.spatial(output))}):
        net(x)
    return kept[0]


@each_case
def test_the_grid_and_the_prefix_are_found(kind: str) -> None:
    net, x = make(kind)
    case = CASES[kind]
    chosen = last_spatial(net, x)
    assert (chosen.name, chosen.grid, chosen.prefix) == (case.layer, case.grid, case.prefix)
    assert {case.layer, case.early} <= set(spatial_layers(net, x))
    assert explain(net, x, [0, 1]).maps.shape == (2, *case.grid)
    assert resolve(net, chosen.module, x) == (chosen,)


@each_case
@pytest.mark.parametrize("cell", [(0, 0), (1, 3), (2, 1)])
def test_a_cell_is_its_own_patch_of_the_image(kind: str, cell: tuple[int, int]) -> None:
    net, x = make(kind)
    case = CASES[kind]
    (layer,) = resolve(net, case.early, x)
    x = x[:1].requires_grad_()
    row, column = cell
    _spatial(net, layer, x)[0, :, row, column].square().sum().backward()
    assert x.grad is not None
    rows, columns = x.grad.abs().sum((0, 1)).nonzero().unbind(1)
    seen = (rows.min().item(), rows.max().item() + 1, columns.min().item(), columns.max().item() + 1)
    side = case.patch
    assert seen == (row * side, (row + 1) * side, column * side, (column + 1) * side)


@each_case
def test_a_bright_patch_stands_out_in_its_own_cell(kind: str) -> None:
    net, x = make(kind)
    layer = last_spatial(net, x)
    rows, columns = CASES[kind].grid
    height, width = x.shape[-2] // rows, x.shape[-1] // columns
    x = torch.zeros_like(x)
    x[1, :, 2 * height : 3 * height, width : 2 * width] = 3.0
    with torch.no_grad():
        change = _spatial(net, layer, x).diff(dim=0)[0].norm(dim=0)
    assert change.argmax() == 2 * columns + 1


@each_case
def test_the_chosen_cells_reach_the_score(kind: str) -> None:
    net, x = make(kind)
    found = explain(net, x, [0, 1], "layer-cam")
    assert (found.maps > 0).flatten(1).any(1).all()
    assert not found.warnings


def test_grad_cam_on_tokens_leaves_the_class_token_out() -> None:
    net, layer = nets.make("tokens")
    assert isinstance(net, nets.Tokens)
    x = nets.images(2)
    block = net.blocks[1]
    with torch.no_grad():
        patches = net.embed(x).flatten(2).transpose(1, 2)
        below = net.blocks[0](torch.cat([net.first.expand(2, -1, -1), patches], 1) + net.places)
        tokens = block.norm1(below)

    def rest(y: Tensor, i: int) -> Tensor:
        z = below[i : i + 1] + block.attention(y[None], y[None], y[None])[0]
        return net.head(net.norm(z + block.mlp(block.norm2(z)))[0, 0])

    maps = []
    for i, target in enumerate([1, 4]):
        gradient = torch.autograd.functional.jacobian(lambda y, i=i: rest(y, i), tokens[i])[target]
        maps.append((tokens[i, 1:] @ gradient[1:].mean(0)).reshape(4, 4))
    found = explain(net, x, [1, 4], "grad-cam", layer)
    torch.testing.assert_close(found.maps, torch.stack(maps).clamp_min(0).float())


def test_the_grid_follows_the_image() -> None:
    net = CASES["torchvision swin"].build().eval()
    for height, width in ((64, 96), (96, 64), (64, 96)):
        assert last_spatial(net, torch.zeros(1, 3, height, width)).grid == (height // 8, width // 8)
        assert explain(net, torch.zeros(1, 3, height, width), [0]).maps.shape == (1, height // 8, width // 8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer", "side"), [("vit_b_16", "encoder.layers.encoder_layer_11.ln_1", 14), ("swin_t", "norm", 7)]
)
def test_torchvisions_own_sizes(name: str, layer: str, side: int) -> None:
    found = explain(models.get_model(name, weights=None).eval(), torch.zeros(1, 3, 224, 224), [0])
    assert found.layers == (layer,)
    assert found.maps.shape == (1, side, side)


@pytest.mark.parametrize("kind", ["timm vit", "transformers vit"])
def test_parts_of_attention_are_no_maps(kind: str) -> None:
    net, x = make(kind)
    seen = survey(net, x)
    assert set(seen.grids.values()) == {(4, 6)}
    with pytest.raises(LayerError, match="no rows and columns"):
        explain(net, x, [0, 1], layers="head" if kind == "timm vit" else "classifier")


class _BothWays(nn.Module):
    """Channels first, then last, then first again, by functions that no module shows."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 1)
        self.linear = nn.Linear(channels, channels)
        self.last = nn.Tanh()
        self.first = nn.Sigmoid()
        self.head = nn.Linear(channels, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        last = self.last(self.linear(self.conv(x).permute(0, 2, 3, 1)))
        return self.head(self.first(last.permute(0, 3, 1, 2)).mean((2, 3)))


def test_channels_are_told_from_rows_and_columns_by_what_made_them() -> None:
    net = _BothWays(8).eval()
    x = torch.zeros(1, 3, 4, 8)
    grids = {layer.name: layer.grid for layer in survey(net, x).grids}
    assert grids == {"conv": None, "linear": (4, 8), "last": (4, 8), "first": None}


def test_where_nobody_can_tell_an_error_says_so() -> None:
    net = _BothWays(8).eval()
    x = torch.zeros(1, 3, 8, 8)
    assert survey(net, x).ambiguous == {"last", "first"}
    assert [layer.name for layer in resolve(net, ["conv", "linear"], x)] == ["conv", "linear"]
    with pytest.raises(LayerError, match="as many channels as rows and columns"):
        explain(net, x, [0], layers="last")


class _Words(nn.Module):
    """A map, and a sequence of as many words as the map has cells, to which the image is given in one piece."""

    def __init__(self, *, image_in_every_step: bool) -> None:
        super().__init__()
        self.trunk = nn.Conv2d(3, 6, 4, stride=4)
        self.words = nn.Parameter(torch.randn(1, 15, 6))
        self.norm = nn.LayerNorm(6)
        self.lstm = nn.LSTM(6, 6, batch_first=True)
        self.head = nn.Linear(6, CLASSES)
        self.image_in_every_step = image_in_every_step

    def forward(self, x: Tensor) -> Tensor:
        image = self.trunk(x).mean((2, 3))[:, None]
        words = torch.cat([image, self.words.expand(len(x), -1, -1)], 1)
        return self.head(self.lstm(self.norm(words + image if self.image_in_every_step else words))[0][:, -1])


@pytest.mark.parametrize("image_in_every_step", [False, True])
def test_a_sequence_that_is_not_of_patches_is_not_taken_for_one(image_in_every_step: bool) -> None:
    net = _Words(image_in_every_step=image_in_every_step).eval()
    x = torch.zeros(1, 3, 16, 16)
    assert [layer.name for layer in survey(net, x).grids] == ["trunk"]
    assert explain(net, x, [0]).layers == ("trunk",)


def test_a_network_of_convolutions_is_looked_at_once() -> None:
    net, layer = nets.make("residual")
    runs = []
    handle = net.register_forward_hook(lambda *_: runs.append(1))
    for side in (16, 24, 32):
        explain(net, torch.zeros(1, 3, side, side, dtype=torch.float64), [0], "grad-cam", layer)
    handle.remove()
    assert len(runs) == 1 + 3
