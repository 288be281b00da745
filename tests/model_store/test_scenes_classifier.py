"""The shipped classifier: its folder, its figures on held-out scenes, and where its maps lie."""

import ast
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from model_store.scenes.dataset import HELD_OUT_SEEDS, TRAINING_SEEDS, collect, draw_examples
from model_store.scenes.drawing import draw, masks
from model_store.scenes.scene import two_class_scene
from model_store.scenes.vocabulary import SHAPES

FOLDER = Path(__file__).resolve().parents[2] / "model_store" / "scenes-classifier"
RECIPE = yaml.safe_load((FOLDER / "recipe.yaml").read_text())
WEIGHTS = FOLDER / RECIPE["weights"]["file"]
SEEDS = HELD_OUT_SEEDS[5_000:5_300]  # none that the training report measures


@pytest.fixture(scope="module")
def code() -> Iterator[dict[str, ModuleType]]:
    """The folder's modules, imported as train.py sees them and forgotten afterwards."""
    names = ("model", "held_out", "train")
    path = list(sys.path)
    sys.path.insert(0, str(FOLDER))
    yield {name: import_module(name) for name in names}
    sys.path[:] = path
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def classifier(code: dict[str, ModuleType]) -> nn.Module:
    model: nn.Module = getattr(code["model"], RECIPE["source"]["python"]["factory"])()
    model.load_state_dict(load_file(WEIGHTS))
    return model.eval()


def prepared(images: NDArray[np.uint8]) -> torch.Tensor:
    """Preprocessing as the recipe says it."""
    scaled = (images / 255 - RECIPE["preprocessing"]["mean"]) / RECIPE["preprocessing"]["std"]
    return torch.tensor(scaled.transpose(0, 3, 1, 2), dtype=torch.float32)


def examples(kind: str) -> tuple[torch.Tensor, NDArray[np.float32]]:
    images, targets = collect(draw_examples([kind], SEEDS, RECIPE["preprocessing"]["size"][0]))
    return prepared(images), targets


def test_recipe_fits_the_model(classifier: nn.Module) -> None:
    assert tuple(RECIPE["labels"]) == SHAPES
    (layer,) = RECIPE["explanation"]["layers"]
    shapes = []
    hook = classifier.get_submodule(layer).register_forward_hook(lambda *call: shapes.append(call[2].shape))
    height, width = RECIPE["preprocessing"]["size"]
    with torch.inference_mode():
        logits = classifier(torch.zeros(2, 3, height, width))
    hook.remove()
    assert logits.shape == (2, len(SHAPES))
    assert [tuple(shape[2:]) for shape in shapes] == [(height // 8, width // 8)]


def test_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size <= 3 * 2**20


def test_model_file_stands_alone() -> None:
    tree = ast.parse((FOLDER / "model.py").read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert imported <= {"torch", "typing", "model_store"}


def test_right_and_not_saturated_on_one_class_scenes(classifier: nn.Module) -> None:
    images, targets = examples("one-class")
    with torch.inference_mode():
        top, predicted = classifier(images).softmax(1).max(1)
    assert (predicted.numpy() == targets.argmax(1)).mean() >= 0.95
    assert 0.6 <= top.median() <= 0.95


def test_both_classes_lead_on_two_class_scenes(classifier: nn.Module) -> None:
    images, targets = examples("two-class")
    with torch.inference_mode():
        top = classifier(images).topk(2).indices.numpy()
    assert (np.take_along_axis(targets, top, axis=1) > 0).all(1).mean() >= 0.87


def test_grad_cam_lies_on_the_named_object(classifier: nn.Module) -> None:
    """Grad-CAM by autograd, not by the shortcut that the training report takes."""
    side = RECIPE["preprocessing"]["size"][0]
    scenes = [two_class_scene(seed) for seed in SEEDS[:60]]
    images = prepared(np.stack([draw(scene, side, side) for scene in scenes]))
    labels = torch.tensor([[SHAPES.index(shape) for shape in scene.shapes] for scene in scenes])
    kept: list[torch.Tensor] = []

    def keep(module: nn.Module, args: object, output: torch.Tensor) -> torch.Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[-1]

    with classifier.get_submodule(RECIPE["explanation"]["layers"][0]).register_forward_hook(keep):
        scores = classifier(images).gather(1, labels).sum(0)
    hits: list[bool] = []
    own_energy: list[float] = []
    other_energy: list[float] = []
    for rank in range(2):
        (gradient,) = torch.autograd.grad(scores[rank], kept[0], retain_graph=True)
        native = (kept[0] * gradient.mean((2, 3), keepdim=True)).sum(1, keepdim=True).relu()
        cams = nn.functional.interpolate(native, (side, side), mode="bilinear")[:, 0].detach().numpy()
        for scene, cam in zip(scenes, cams, strict=True):
            visible = masks(scene, side, side)
            named = np.array([item.shape == scene.shapes[rank] for item in scene.objects])
            own, other = visible[named].any(0), visible[~named].any(0)
            peak = np.unravel_index(cam.argmax(), cam.shape)
            hits.append(bool((np.abs(np.argwhere(own) - peak).max(1) <= 2).any()))
            own_energy.append(cam[own].sum() / cam.sum())
            other_energy.append(cam[other].sum() / cam.sum())
    assert np.mean(hits) >= 0.85
    assert np.mean(own_energy) > 4 * np.mean(other_energy)


def test_report_uses_the_same_map(code: dict[str, ModuleType], classifier: nn.Module) -> None:
    image = draw(two_class_scene(SEEDS[0]), 112, 112)
    pixels = prepared(image[None])
    features = nn.Sequential(*list(classifier.children())[:-2])(pixels).detach().requires_grad_()
    classifier.get_submodule("head")(features.mean((2, 3)))[0, 3].backward()
    assert features.grad is not None
    native = (features * features.grad.sum((2, 3), keepdim=True)).sum(1, keepdim=True).relu().detach()
    expected = nn.functional.interpolate(native, (112, 112), mode="bilinear")[0, 0].numpy()
    np.testing.assert_allclose(code["held_out"].grad_cam(classifier, image, 3), expected, rtol=1e-3, atol=1e-4)


def test_training_repeats_from_the_seed_and_learns(code: dict[str, ModuleType]) -> None:
    drawn = collect(draw_examples(["one-class"], TRAINING_SEEDS[:128], 48))
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        model = code["model"].build()
        before = model.head.weight.detach().clone()
        code["train"].train(model, drawn, coarse_epochs=1, epochs=1, peak=4e-3, gradient_weight=0.0)
        assert not torch.equal(model.head.weight, before)
        assert not model.training
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
