"""Building a recipe's network and loading its weights."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from handlers.libraries import (
    from_timm,
    from_torchvision,
    from_transformers,
    timm_labels,
    torchvision_labels,
    transformers_labels,
)
from model_store.recipe import Recipe, RecipeError
from model_store.sections import PythonSource


def load_network(recipe: Recipe, folder: Path, device: torch.device) -> nn.Module:
    """The recipe's network with its weights, frozen and in evaluation mode.

    Args:
        recipe: what to load.
        folder: where its files lie.
        device: where to put it.

    Raises:
        RecipeError: the source, its name or the weights do not fit; the message says which and what to do.
    """
    with torch.random.fork_rng(enabled=recipe.weights.random):
        if recipe.weights.random:
            torch.manual_seed(recipe.weights.seed)
        network = _build(recipe, folder)
        if recipe.weights.random:
            _fill_zeros(network)
    if recipe.weights.file and not recipe.source.transformers:
        _load_weights(network, folder / recipe.weights.file)
    return network.eval().requires_grad_(False).to(device)


def labels_of(recipe: Recipe, network: nn.Module) -> tuple[str, ...]:
    """The labels in index order: the recipe's own, else those that the source has for the network; may be empty."""
    if recipe.labels:
        return recipe.labels
    names: Sequence[str] = ()
    if recipe.source.torchvision:
        names = torchvision_labels(recipe.source.torchvision.name)
    elif recipe.source.timm:
        names = timm_labels(network)
    elif recipe.source.transformers:
        names = transformers_labels(network)
    return tuple(names)


def _build(recipe: Recipe, folder: Path) -> nn.Module:
    source, weights = recipe.source, recipe.weights
    if source.python:
        return _from_file(source.python, folder)
    if source.torchvision:
        return from_torchvision(source.torchvision.name, pretrained=weights.pretrained)
    if source.timm:
        return from_timm(source.timm.name, pretrained=weights.pretrained)
    if source.transformers:
        state = _state(folder / weights.file) if weights.file else None
        return from_transformers(source.transformers, folder, pretrained=weights.pretrained, state=state)
    raise RecipeError("source: give one of python, torchvision, timm, transformers")


def _from_file(source: PythonSource, folder: Path) -> nn.Module:
    spec = importlib.util.spec_from_file_location(f"camserve_model_{Path(source.file).stem}", folder / source.file)
    if spec is None or spec.loader is None:
        raise RecipeError(f"source.python.file: {source.file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    factory = getattr(module, source.factory, None)
    if factory is None:
        raise RecipeError(f"source.python.factory: {source.file} has no function {source.factory}")
    network = factory()
    if not isinstance(network, nn.Module):
        raise RecipeError(
            f"source.python.factory: {source.factory} returned {type(network).__name__}, not a torch module"
        )
    return network


def _fill_zeros(network: nn.Module) -> None:
    """Draws the linear layers that a network starts with zeros, as ViT does its head: all its maps would be flat."""
    for module in network.modules():
        if isinstance(module, nn.Linear) and not module.weight.any():
            nn.init.trunc_normal_(module.weight, std=0.02)


def _load_weights(network: nn.Module, file: Path) -> None:
    try:
        network.load_state_dict(_state(file))
    except UnpicklingError as error:
        raise RecipeError(f"weights.file: {file.name} holds more than tensors; save the state dict alone") from error
    except RuntimeError as error:
        raise RecipeError(f"weights.file: {file.name} does not fit the network: {error}") from error


def _state(file: Path) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        return load_file(file)
    state: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return state
