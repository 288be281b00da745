"""A model's folder to make tests of recipes from."""

from pathlib import Path
from typing import Any

import yaml

LABELS = ["circle", "square"]


def recipe_data() -> dict[str, Any]:
    """A recipe of every file a model can have: code, weights, labels."""
    return {
        "name": "shapes",
        "version": "1",
        "task": "classify",
        "description": "Two shapes.",
        "source": {"python": {"file": "model.py", "factory": "build"}},
        "weights": {"file": "weights.safetensors"},
        "labels_file": "labels.txt",
        "preprocessing": {"size": [32, 48], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
    }


def write_model(folder: Path, data: object = None) -> Path:
    """Writes a recipe and the files that ``recipe_data`` names, the smallest that are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe_data() if data is None else data))
    (folder / "model.py").write_text("def build():\n    raise NotImplementedError\n")
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    (folder / "weights.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return folder
