"""A model that sees colours, and folders of pictures of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

SIDE = 32
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
MODEL = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
        self.head = nn.Linear(3, 3)

    def forward(self, x):
        return self.head(self.trunk(x).mean((2, 3)))


def build():
    return Net()
"""
RECIPE: dict[str, Any] = {
    "name": "colours",
    "version": "1",
    "task": "classify",
    "description": "How much of which colour is there.",
    "source": {"python": {"file": "model.py", "factory": "build"}},
    "weights": {"file": "weights.safetensors"},
    "labels": list(COLOURS),
    "preprocessing": {"size": [SIDE, SIDE], "fit": "stretch", "mean": [0.0] * 3, "std": [1.0] * 3},
}


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier whose Grad-CAM for a colour is where that colour is."""
    folder = tmp_path_factory.mktemp("store") / "colours"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    weights = {
        "trunk.0.weight": torch.eye(3)[:, :, None, None].contiguous(),
        "trunk.0.bias": torch.zeros(3),
        "head.weight": 40 * torch.eye(3),
        "head.bias": torch.zeros(3),
    }
    save_file(weights, folder / "weights.safetensors")
    return folder


def patch(colour: str, left: int, top: int, side: int = 8) -> NDArray[np.uint8]:
    """A black picture with one square, twice as large as the model's input."""
    picture = np.zeros((2 * SIDE, 2 * SIDE, 3), np.uint8)
    picture[2 * top : 2 * (top + side), 2 * left : 2 * (left + side)] = COLOURS[colour]
    return picture


def save(file: Path, picture: NDArray[np.uint8]) -> None:
    """Writes a picture, and the folders that it lies in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(file)


@pytest.fixture
def class_folders(tmp_path: Path) -> Path:
    """Two pictures of red and two of green; one damaged, one of a class that the model does not know, none of blue."""
    folder = tmp_path / "photos"
    for name, left in (("a", 2), ("b", 20)):
        save(folder / "red" / f"{name}.png", patch("red", left, 4))
        save(folder / "Green" / f"{name}.png", patch("green", left, 4))
    (folder / "red" / "cut.png").write_bytes((folder / "red" / "a.png").read_bytes()[:60])
    save(folder / "mauve" / "c.png", patch("blue", 2, 2))
    (folder / "blue").mkdir()
    return folder


def voc_annotation(objects: dict[str, tuple[int, int, int, int]]) -> str:
    """Boxes as VOC writes them."""
    found = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax>"
        f"<ymax>{bottom}</ymax></bndbox></object>"
        for name, (left, top, right, bottom) in objects.items()
    )
    return f"<annotation>{found}</annotation>"


def write_json(file: Path, data: object) -> None:
    """Writes JSON, and the folders that it lies in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data))
