"""A model store of optimised recipes, made of those in the project's own."""

import zipfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

import model_store
from handlers.network import load_network
from handlers.optimise import optimised
from model_store.archive import build_archive
from model_store.cores import share
from model_store.recipe import load_recipe

_RECIPES = Path(model_store.__file__).parent
PRECISIONS = ("float32", "bfloat16")


def optimised_name(name: str, precision: str, count: int = 1) -> str:
    """What an optimised recipe is called whose workers, so many, share the cores."""
    return f"{name}-{precision}" if count == 1 else f"{name}-{precision}-x{count}"


def make_store(store: Path, name: str, counts: Sequence[int] = (1,)) -> Path:
    """Puts a recipe into a store as it is, with a worker on all cores, and optimised; returns the store.

    Args:
        store: its folder; what was compiled there before is kept.
        name: of the recipe in the project's model store.
        counts: of the workers that share the cores; there is an optimised recipe of each precision for each.
    """
    recipe = yaml.safe_load((_RECIPES / name / "recipe.yaml").read_text(encoding="utf-8"))
    variants: dict[str, dict[str, Any]] = {name: {"worker": _workers(1)}}
    for count, precision in product(counts, PRECISIONS):
        variant = {"optimize": {"precision": precision}, "worker": _workers(count)}
        variants[optimised_name(name, precision, count)] = variant
    for variant_name, keys in variants.items():
        folder = store / variant_name
        folder.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(recipe | keys | {"name": variant_name})
        (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    return store


def _workers(count: int) -> dict[str, int]:
    return {"count": count, "threads": share(count)}


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
