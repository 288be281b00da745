"""Opti-CAM against the authors' procedure, written down once more in float64, and what its search promises."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from handlers.network import load_network
from model_store.recipe import load_recipe
from model_store.scenes.dataset import HELD_OUT_SEEDS, collect, draw_examples
from saliency import Progress, UnsuitableError, WarningKind, explain, normalize, upsample
from tests.nets import CLASSES, images, make

pytestmark = pytest.mark.usefixtures("one_core")

BLACK = [-2.0, -1.5, -1.0]
STEPS = 12
SCENES = Path(__file__).resolve().parents[2] / "model_store" / "scenes-classifier"


def _activation(net: nn.Module, layer: str, x: Tensor) -> Tensor:
    kept: list[Tensor] = []
    handle = net.get_submodule(layer).register_forward_hook(lambda _m, _i, out: kept.append(out.detach().clone()))
    with torch.no_grad():
        net(x)
    handle.remove()
    return kept[0]


def _mask(maps: Tensor, normalization: str) -> Tensor:
    if normalization == "sigmoid":
        return 1 / (1 + torch.exp(-maps))
    low = maps.min() if normalization == "range" else 0.0
    return (maps - low) / (maps.max() - low)


class _Search:
    """One image and class, as the authors do it: u starts at 0.5 everywhere, torch's own Adam, every step alike."""

    def __init__(self, net: nn.Module, activation: Tensor, x: Tensor, target: int, **options: Any) -> None:
        self.net, self.activation, self.x, self.target = net, activation, x, target
        self.objective = options.get("objective", "mask")
        self.normalization = options.get("normalization", "range")
        self.black = options.get("black", torch.zeros(3, 1, 1))
        self.clean = net(x[None])[0, target].detach()

    def small(self, u: Tensor) -> Tensor:
        """The weighted sum ``[h, w]``."""
        return (u.softmax(0)[:, None, None] * self.activation).sum(0)

    def value(self, small: Tensor) -> Tensor:
        """F of a weighted sum."""
        large = F.interpolate(small[None, None], size=self.x.shape[-2:], mode="bilinear")[0, 0]
        mask = _mask(large, self.normalization)
        inside = self.seen(mask)
        match self.objective:
            case "mask":
                return inside
            case "diff":
                return -(self.clean - inside).abs()
            case "iomask":
                return inside - self.seen(1 - mask)
            case _:
                return -(self.clean - inside).abs() + (self.clean - self.seen(1 - mask)).abs()

    def seen(self, mask: Tensor) -> Tensor:
        """The score behind a mask ``[H, W]``."""
        return self.net((self.black + mask * (self.x - self.black))[None])[0, self.target]

    def run(self, steps: int, rate: float = 0.1) -> tuple[Tensor, list[Tensor]]:
        """F after 0, 1, ... steps, and the weights then."""
        u = torch.full((len(self.activation),), 0.5, dtype=torch.float64, requires_grad=True)
        adam = torch.optim.Adam([u], lr=rate)
        values, weights = [], []
        for _ in range(steps + 1):
            value = self.value(self.small(u))
            values.append(value.detach())
            weights.append(u.detach().clone())
            (u.grad,) = torch.autograd.grad(-value, u)
            adam.step()
        return torch.stack(values), weights


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("gap head", {}),
        ("flat head", {}),
        ("residual", {"learning_rate": 0.5}),
        *[("curved head", {"objective": name}) for name in ("mask", "diff", "iomask", "iodiff")],
        *[("residual", {"normalization": name}) for name in ("max", "sigmoid")],
        ("flat head", {"fill": "black", "objective": "iomask", "normalization": "sigmoid"}),
        ("flat head", {"fill": "zero"}),
    ],
    ids=str,
)
def test_every_step_and_the_best_map_are_those_of_the_authors_procedure(kind: str, options: dict[str, Any]) -> None:
    net, layer = make(kind)
    x, rows = images(2), [[1, 3], [0, 2]]
    told: list[Progress] = []
    found = explain(net, x, rows, "opti-cam", layer, black=BLACK, progress=told.append, steps=STEPS, **options)
    assert [p.step for p in told] == list(range(STEPS + 1))
    black = torch.zeros(3, 1, 1) if options.get("fill") == "zero" else torch.tensor(BLACK)[:, None, None]
    for i, activation in enumerate(_activation(net, layer, x)):
        for k, target in enumerate(rows[i]):
            search = _Search(net, activation, x[i], target, **{**options, "black": black})
            values, weights = search.run(STEPS, options.get("learning_rate", 0.1))
            reached = torch.stack([p.objectives[i, k] for p in told if p.objectives is not None])
            torch.testing.assert_close(reached, values.cummax(0).values.float(), rtol=1e-5, atol=1e-6)
            best = _mask(search.small(weights[int(values.argmax())]), search.normalization)
            torch.testing.assert_close(found.maps[i, k], best.float(), rtol=1e-4, atol=1e-5)


def test_a_trained_network_is_surer_than_by_the_authors_last_weights_and_than_through_any_one_channel() -> None:
    recipe = load_recipe(SCENES)
    net = load_network(recipe, SCENES, torch.device("cpu")).double()  # searches in float32 part ways by rounding
    pictures, shares = collect(draw_examples(["one-class"], HELD_OUT_SEEDS[:1], recipe.preprocessing.size[0]))
    x = (torch.from_numpy(pictures).permute(0, 3, 1, 2).double() / 255 - 0.5) / 0.25
    classes = shares.argmax(1).tolist()
    told: list[Progress] = []
    explain(net, x, classes, "opti-cam", "stage4", black=[-2.0] * 3, progress=told.append)
    best = told[-1].objectives
    assert best is not None
    (activation,) = _activation(net, "stage4", x)
    search = _Search(net, activation, x[0], classes[0], black=-2.0)
    values, _ = search.run(100)
    assert best >= values[-1] - 1e-6
    assert best > values[0] + 0.1
    with torch.no_grad():
        singles = [search.value(channel).item() for channel in activation if channel.max() > channel.min()]
    assert best >= max(singles)


def test_masking_after_normalisation_towards_black_is_masking_before_it() -> None:
    class OfPixels(nn.Module):
        """As the authors have it: the normalisation is a layer of the network, so masked pixels are zero."""

        def __init__(self, net: nn.Module, mean: Tensor, std: Tensor) -> None:
            super().__init__()
            self.net, self.mean, self.std = net, mean, std

        def forward(self, pixels: Tensor) -> Tensor:
            return self.net((pixels - self.mean) / self.std)

    net, layer = make("residual")
    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in ([0.5, 0.4, 0.3], [0.25, 0.2, 0.3]))
    pixels = images(2).sigmoid()
    within = explain(OfPixels(net, mean, std).eval(), pixels, [0, 4], "opti-cam", f"net.{layer}", steps=STEPS)
    x, black = (pixels - mean) / std, (-mean / std).flatten().tolist()
    torch.testing.assert_close(explain(net, x, [0, 4], "opti-cam", layer, black=black, steps=STEPS).maps, within.maps)
    unknown = explain(net, x, [0, 4], "opti-cam", layer, steps=STEPS).maps
    assert not torch.allclose(unknown, within.maps, atol=0.01)
    zero = explain(net, x, [0, 4], "opti-cam", layer, black=black, fill="zero", steps=STEPS).maps
    torch.testing.assert_close(zero, unknown)


def test_an_image_that_converges_leaves_the_batch_and_the_others_alone() -> None:
    net, layer = make("gap head")
    x = images(3)
    x[1] = 0.0  # all cells alike but for the border, which a map of 2 x 2 does not have
    net.trunk = nn.Sequential(nn.Conv2d(3, 12, 8, stride=8), nn.ReLU()).double()
    rows: list[int] = []
    handle = net.register_forward_hook(lambda _m, given, _o: rows.append(len(given[0])))
    found = explain(net, x, [0, 1, 2], "opti-cam", layer, steps=STEPS)
    handle.remove()
    assert found.steps_done is not None
    assert found.steps_done.tolist() == [STEPS, 1, STEPS]
    assert rows[-STEPS - 1 :] == [3, 3] + [2] * (STEPS - 1)
    assert [(w.kind, w.image) for w in found.warnings] == [(WarningKind.FLAT, 1)]
    for i in (0, 2):
        alone = explain(net, x[i : i + 1], [i], "opti-cam", layer, steps=STEPS)
        torch.testing.assert_close(found.maps[i], alone.maps[0])


def test_the_map_is_the_mask_whose_score_was_found() -> None:
    net, layer = make("flat head")
    x = images(2)
    told: list[Progress] = []
    found = explain(net, x, [0, 1], "opti-cam", layer, steps=STEPS, progress=told.append)
    assert found.maps.min() == 0
    assert found.maps.max() == 1
    masks = normalize(upsample(found.maps, x.shape[-2:]))
    scores = net(x * masks[:, None])[[0, 1], [0, 1]].float()
    torch.testing.assert_close(scores, told[-1].objectives)
    torch.testing.assert_close(told[-1].maps(), found.maps)


def test_several_layers_share_one_softmax() -> None:
    net, _ = make("residual")
    net.blocks.insert(1, nn.AvgPool2d(2))
    layers = ["stem", "blocks"]
    x = images(1)
    told: list[Progress] = []
    found = explain(net, x, [3], "opti-cam", layers, steps=STEPS, progress=told.append)
    fine, coarse = (_activation(net, layer, x) for layer in layers)
    grown = F.interpolate(coarse / coarse.abs().max(), size=fine.shape[-2:], mode="bilinear")
    search = _Search(net, torch.cat([fine / fine.abs().max(), grown], 1)[0], x[0], 3)
    values, _ = search.run(STEPS)
    assert found.maps.shape == (1, *fine.shape[-2:])
    assert found.layers == ("stem", "blocks")
    torch.testing.assert_close(told[-1].objectives, values.max()[None].float(), rtol=1e-5, atol=1e-6)


def test_a_start_in_which_all_channels_cancel_is_left() -> None:
    # The channels of a layer norm sum to nothing, so the first mask would be rounding, blown up.
    net, layer = make("tokens")
    told: list[Progress] = []
    x = images(2)
    found = explain(net.float(), x.float(), [1, 2], "opti-cam", layer, progress=told.append)
    first, last = told[0].objectives, told[-1].objectives
    assert first is not None
    assert last is not None
    torch.testing.assert_close(first, net(torch.zeros_like(x).float())[[0, 1], [1, 2]].detach(), rtol=1e-3, atol=1e-3)
    assert (last > first).all()
    assert found.warnings == ()


def test_named_inputs_and_callable_targets() -> None:
    class Two(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, pixels: Tensor, shift: Tensor) -> Tensor:
            return self.net(pixels) + shift

    net, layer = make("gap head")
    x = images(2)
    shift = torch.arange(2 * CLASSES, dtype=torch.float64).view(2, CLASSES)
    targets = [[lambda out: out[1] - out[0], lambda out: -out[2]], [lambda out: 2 * out[3], lambda out: out[4]]]
    together = explain(Two(net).eval(), {"shift": shift, "pixels": x}, targets, "opti-cam", f"net.{layer}", steps=STEPS)
    for i in range(2):
        alone = explain(net, x[i : i + 1], targets[i : i + 1], "opti-cam", layer, steps=STEPS)
        torch.testing.assert_close(together.maps[i : i + 1], alone.maps)


def test_scores_that_come_out_equal_in_half_precision_stop_nothing() -> None:
    net, layer = make("gap head")
    net.head.bias.data.fill_(500.0)  # so far from zero that bfloat16 sees no difference
    found = explain(net.bfloat16(), images(1).bfloat16(), [0], "opti-cam", layer, steps=STEPS)
    assert found.steps_done is not None
    assert found.steps_done.tolist() == [STEPS]


def test_scores_without_a_graph_say_so() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).detach().mean((2, 3))

    with pytest.raises(UnsuitableError, match="do not depend on the image"):
        explain(Cut().eval(), images(1).float(), [0], "opti-cam", "conv")
