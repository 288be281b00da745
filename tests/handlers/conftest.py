"""A small model's folder, as a recipe names it."""

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from torch import nn

MODEL = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU())
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.trunk(x).mean((2, 3)))


def build():
    return Net()
"""

LABELS = ["Cat", "dog", "bird", "fish"]
RECIPE: dict[str, Any] = {
    "name": "tiny",
    "version": "1",
    "task": "classify",
    "description": "A small random network.",
    "source": {"python": {"file": "model.py", "factory": "build"}},
    "weights": {"file": "weights.safetensors"},
    "labels": LABELS,
    "preprocessing": {"size": [32, 48], "fit": "stretch", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]},
}

FolderFactory = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> FolderFactory:
    """Writes a model's folder; keywords replace sections of the recipe."""

    def write(**sections: Any) -> Path:
        (tmp_path / "model.py").write_text(MODEL)
        namespace: dict[str, Any] = {}
        exec(MODEL, namespace)  # noqa: S102
        torch.manual_seed(1)
        net: nn.Module = namespace["build"]()
        save_file(net.state_dict(), tmp_path / "weights.safetensors")
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, **sections}))
        return tmp_path

    return write


def png(width: int = 64, height: int = 40, seed: int = 0) -> bytes:
    """A random picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


STORE = Path(__file__).resolve().parents[2] / "model_store"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks: more threads would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def scenes_folder(name: str, folder: Path) -> Path:
    """A copy of one of the scenes models with random weights, for a small input."""
    folder.mkdir()
    for file in ("model.py", "words.txt"):
        shutil.copy(STORE / name / file, folder)
    recipe = yaml.safe_load((STORE / name / "recipe.yaml").read_text())
    recipe["weights"] = {"random": True, "seed": 5}
    recipe["preprocessing"]["size"] = [48, 64]
    recipe.pop("units_file", None)  # names of units go with trained weights
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder
