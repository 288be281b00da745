"""Training: what counts as seen, and that pictures of one's own become a model that is served and audited."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.audits.walls.network import SMALL, MaskedVGG, build, masked_vgg16
from evaluation.audits.walls.train import above, train, train_convolutions
from evaluation.audits.walls.train_on_folder import fit, open_pictures, recipe_of, write_model
from evaluation.classifier import load_classifier
from model_store.scenes.scene import Scene, one_class_scene
from model_store.scenes.vocabulary import SHAPES


def test_an_object_counts_where_most_of_it_is_seen() -> None:
    star, ring = (one_class_scene(1, shape).objects[0] for shape in ("star", "ring"))
    high, low = replace(star, extent=0.2, y=-0.3), replace(ring, extent=0.2, y=0.4)
    expected = np.zeros(len(SHAPES))
    expected[SHAPES.index("star")] = 1
    assert above(Scene(1, (high, low)), 83).tolist() == expected.tolist()
    assert not above(Scene(1, (low,)), 83).any()
    assert above(Scene(1, (high, replace(ring, extent=0.2, y=-0.3, x=0.3))), 83).max() == 0.5


def test_training_reaches_every_part() -> None:
    torch.manual_seed(0)
    model = build()
    before = {name: value.clone() for name, value in model.named_parameters()}
    images = np.random.default_rng(0).integers(0, 256, (256, 112, 112, 3), dtype=np.uint8)
    targets = torch.eye(10)[torch.arange(256) % 10]
    train_convolutions(model, images, targets, epochs=1)
    assert all(torch.equal(value, before[f"classifier.{name}"]) for name, value in model.classifier.named_parameters())
    train(model, images, targets, epochs=1)
    assert not any(torch.equal(value, before[name]) for name, value in model.named_parameters())
    assert not model.training


def _folder(path: Path) -> Path:
    for name, colour in {"red": "#e01010", "blue": "#1010e0"}.items():
        (path / name).mkdir(parents=True)
        for index in range(4):
            Image.new("RGB", (64, 48), colour).save(path / name / f"{index}.png")
    return path


def test_a_network_learns_the_classes_of_a_folder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pictures = open_pictures(_folder(tmp_path), side=112)
    network = MaskedVGG(SMALL, side=112, seen_rows=7, hidden=(8,), classes=2, batch_norm=True)
    fit(network, pictures, epochs=30, batch=4, rate=0.01)
    assert not network.training
    with torch.no_grad():
        found = [int(network(image[None]).argmax()) for image, _ in pictures]
    assert found == pictures.targets


@pytest.mark.slow
def test_what_is_written_is_a_model_of_the_store(tmp_path: Path) -> None:
    network = masked_vgg16(2).eval()
    write_model(tmp_path / "own", recipe_of("own", ["red", "blue"]), network)
    loaded = load_classifier(tmp_path / "own")
    assert loaded.labels == ("red", "blue")
    assert loaded.size == (224, 224)
    assert loaded.layers == ("features",)
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(values)[:, None, None] for values in (loaded.mean, loaded.std))
    with torch.no_grad():
        expected = network((image - mean) / std).softmax(1)
    torch.testing.assert_close(loaded.probabilities(image), expected, rtol=0, atol=2e-3)  # weights are float16


def test_what_no_model_can_be_is_told_before_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name"):
        recipe_of("My Model", ["red", "blue"])
    with pytest.raises(FileNotFoundError):
        open_pictures(tmp_path, side=32)
