"""A model store of optimised recipes, made of those in the project's own."""

import zipfile
from pathlib import Path

import torch
import yaml
from torch import nn

import model_store
from handlers.network import load_network
from handlers.optimise import optimised
from model_store.archive import build_archive
from model_store.recipe import load_recipe

_RECIPES = Path(model_store.__file__).parent
PRECISIONS = ("float32", "bfloat16")


def optimised_name(name: str, precision: str) -> str:
    """What an optimised recipe is called."""
    return f"{name}-{precision}"


def make_store(store: Path, name: str, **worker: int) -> Path:
    """Puts a recipe into a store as it is, and optimised in each precision; returns the store.

    Args:
        store: its folder; what was compiled there before is kept.
        name: of the recipe in the project's model store.
        worker: settings of its workers.
    """
    recipe = yaml.safe_load((_RECIPES / name / "recipe.yaml").read_text(encoding="utf-8"))
    variants = {name: {}, **{optimised_name(name, p): {"optimize": {"precision": p}} for p in PRECISIONS}}
    for variant, keys in variants.items():
        folder = store / variant
        folder.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(recipe | keys | {"name": variant, "worker": worker})
        (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    return store


def load_optimised(store: Path, name: str, precision: str, *, scratch: Path) -> nn.Module:
    """The network that a worker of an optimised recipe runs, from its archive.

    Args:
        store: as :func:`make_store` made it.
        name: of the recipe.
        precision: of its trunk.
        scratch: where the archive is unpacked.
    """
    archive = build_archive(store / optimised_name(name, precision), store)
    folder = scratch / optimised_name(name, precision)
    with zipfile.ZipFile(archive) as package:
        package.extractall(folder)
    recipe, device = load_recipe(folder), torch.device("cpu")
    return optimised(recipe, folder, load_network(recipe, folder, device), device)
