"""Units are named after what they look for."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor, nn

from evaluation.dissection.__main__ import main
from evaluation.dissection.concepts import CONCEPTS, concept_masks
from evaluation.dissection.dissection import Batch, dissect, draw_batches, names
from evaluation.dissection.overlap import Overlap, Thresholds, on
from evaluation.dissection.report import table
from model_store.recipe import load_recipe
from model_store.scenes.dataset import TRAINING_SEEDS
from model_store.scenes.drawing import masks
from model_store.scenes.scene import general_scene

SIZE = (64, 64)
NAMES = [concept.name for concept in CONCEPTS]


def test_thresholds_are_those_of_all_cells_at_once() -> None:
    maps = torch.randn(30, 5, 4, 6, generator=torch.Generator().manual_seed(1))
    cells = 30 * 4 * 6
    thresholds = Thresholds(cells, 0.05)
    for part in maps.split([1, 12, 17]):
        thresholds.add(part)
    values = maps.transpose(0, 1).flatten(1).sort(1, descending=True).values
    assert torch.equal(thresholds.values, values[:, int(0.05 * cells)])
    assert ((maps > thresholds.values[:, None, None]).sum((0, 2, 3)) == int(0.05 * cells)).all()


def test_a_unit_that_is_never_on_has_no_cell_above_its_threshold() -> None:
    thresholds = Thresholds(2 * 4 * 4, 0.25)
    thresholds.add(torch.zeros(2, 1, 4, 4))
    assert not on(torch.zeros(2, 1, 4, 4), thresholds.values, (8, 8)).any()


def test_intersection_over_union_is_over_all_pictures_together() -> None:
    generator = torch.Generator().manual_seed(2)
    units = torch.rand(7, 3, 10, 12, generator=generator) > 0.7
    concepts = torch.rand(7, 4, 10, 12, generator=generator) > 0.6
    units[:, 2], concepts[:, 3] = False, False
    overlap = Overlap(3, 4)
    for start, stop in ((0, 2), (2, 7)):
        overlap.add(units[start:stop], concepts[start:stop])
    a, b = units.numpy(), concepts.numpy()
    expected = [[(a[:, u] & b[:, c]).sum() / max((a[:, u] | b[:, c]).sum(), 1) for c in range(4)] for u in range(3)]
    np.testing.assert_allclose(overlap.iou(), expected, rtol=1e-12)
    assert overlap.iou()[2, 3] == 0


def test_rectangles_that_overlap_by_half() -> None:
    unit, concept = torch.zeros(1, 1, 8, 8, dtype=torch.bool), torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    unit[..., :4], concept[..., 2:6] = True, True
    overlap = Overlap(1, 1)
    overlap.add(unit, concept)
    assert overlap.iou().item() == pytest.approx(16 / 48)


def test_concepts_are_where_the_objects_are_that_have_them() -> None:
    scene = general_scene(7)
    visible, found = masks(scene, 48, 32), dict(zip(NAMES, concept_masks(scene, 32, 48), strict=True))
    assert np.array_equal(found["object"], visible.any(0))
    for item, own in zip(scene.objects, visible, strict=True):
        for name in (item.colour, item.shape, item.texture, item.size):
            assert found[name][own].all()
        assert (found["left"] & own).any() == (item.x < -1 / 6 and own.any())
    for category in ("colour", "shape", "texture", "size"):
        parts = [found[concept.name] for concept in CONCEPTS if concept.category == category]
        assert np.array_equal(np.sum(parts, 0), visible.any(0).astype(int))
    assert not (found["left"] & found["right"]).any()
    assert len(set(NAMES)) == len(NAMES)


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    return list(draw_batches(TRAINING_SEEDS[500:564], SIZE))


def test_a_unit_made_for_a_concept_gets_its_name(batches: list[Batch]) -> None:
    """Units that are given the masks of two concepts, and one of noise."""
    wanted = [NAMES.index("star"), NAMES.index("green")]
    maps = iter([batch.masks for batch in batches] * 2)
    generator = torch.Generator().manual_seed(3)

    def activations(images: Tensor) -> Iterator[tuple[str, Tensor]]:
        planted = nn.functional.avg_pool2d(next(maps)[:, wanted].float(), 2)
        yield "layer", torch.cat([planted, torch.rand(len(images), 1, 16, 16, generator=generator)], 1)

    found = dissect(activations, batches)["layer"]
    named = names(found.iou)
    assert [(unit, concept.name) for unit, (concept, _) in named.items()] == [(0, "star"), (1, "green")]
    assert all(iou > 0.4 for _, iou in named.values())
    assert found.shuffled[[0, 1], wanted].max() < found.iou[[0, 1], wanted].min() / 4


def test_a_convolution_for_a_colour_is_named_after_it(batches: list[Batch]) -> None:
    weights = torch.tensor([[0.4, -2.0, 1.2], [1.0, -1.5, -0.5], [-1.0, -0.6, 1.5]])  # purple, red, blue
    detector = nn.Conv2d(3, 3, 1, bias=False)
    detector.weight.data = weights[:, :, None, None]
    pool = nn.AvgPool2d(4)

    def activations(images: Tensor) -> Iterator[tuple[str, Tensor]]:
        with torch.no_grad():
            yield "conv", detector(pool(images)).relu()

    named = names(dissect(activations, batches, share=0.02)["conv"].iou)
    assert [concept.name for concept, _ in named.values()] == ["purple", "red", "blue"]


def test_the_table_holds_controls_beside_the_model() -> None:
    strong, weak = torch.zeros(3, len(CONCEPTS)), torch.zeros(3, len(CONCEPTS))
    strong[0, NAMES.index("red")], strong[1, NAMES.index("star")], strong[2, 0] = 0.5, 0.3, 0.01
    weak[0, NAMES.index("red")] = 0.1
    batches = list(draw_batches(TRAINING_SEEDS[:4], SIZE))
    (agreement,) = dissect(lambda images: iter([("a", images.float())]), batches).values()
    of = type(agreement)
    shown = table({"a": of(strong, weak)}, {"a": of(weak, weak)}, {"a": of(weak, weak)}, bound=0.04)
    titles = [column.title for column in shown.columns]
    rows = {
        name: {title: cell.mean for title, cell in zip(titles, cells, strict=True) if cell}
        for name, cells in shown.rows.items()
    }
    assert list(rows) == ["a", "a, chance", "a, untrained"]
    assert list(shown.apart) == ["a, chance", "a, untrained"]
    first, chance = rows["a"], rows["a, chance"]
    assert (first["units"], first["named"], first["colour"], first["shape"], first["concepts"]) == (3, 2, 1, 1, 2)
    assert first["mean IoU"] == pytest.approx((0.5 + 0.3 + 0.01) / 3)
    assert first["found again %"] == 50  # star is not found there
    assert (chance["named"], chance["colour"]) == (1, 1)
    assert chance["mean IoU"] == pytest.approx(0.1 / 3)


MODEL = """
import torch
from torch import nn


def build():
    return nn.Sequential(nn.Conv2d(3, 4, 4, stride=4, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


def test_the_command_writes_names_that_the_recipe_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    colour = torch.tensor([0.4, -2.0, 1.2])
    weight = torch.zeros(4, 3, 4, 4)
    weight[2] = colour[:, None, None] / 16
    save_file({"0.weight": weight}, tmp_path / "weights.safetensors")
    recipe = {
        "name": "tiny",
        "version": "1",
        "task": "classify",
        "description": "Sees purple.",
        "source": {"python": {"file": "model.py", "factory": "build"}},
        "weights": {"file": "weights.safetensors"},
        "labels": ["a", "b", "c", "d"],
        "units_file": "units.yaml",
        "preprocessing": {"size": list(SIZE), "mean": [0.5] * 3, "std": [0.25] * 3},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["--model", str(tmp_path), "--scenes", "64"]) == 0
    units = load_recipe(tmp_path).units
    assert units is not None
    assert {layer: {unit: found.name for unit, found in own.items()} for layer, own in units.layers.items()} == {
        "1": {2: "purple"}
    }
    assert "| `1` | 4 | 1 |" in capsys.readouterr().out
    assert main(["--model", str(tmp_path), "--layers", "nowhere", "--scenes", "4"]) == 1
    assert "the model has no layer 'nowhere'" in capsys.readouterr().err
