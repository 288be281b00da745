"""Building a recipe's network and loading its weights."""

import importlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from handlers.language import Tokenizer
from handlers.libraries import (
    from_timm,
    from_torchvision,
    from_transformers,
    timm_labels,
    torchvision_labels,
    transformers_labels,
)
from handlers.tokens import WordTokenizer
from handlers.weights import load_state
from model_store.module import load_module
from model_store.recipe import Recipe, RecipeError, read_lines
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
    return _frozen(network, device)


def load_language_model(recipe: Recipe, folder: Path, device: torch.device) -> tuple[nn.Module, Tokenizer]:
    """The recipe's captioner or answerer, as :mod:`handlers.language` describes them, and its tokenizer.

    Args:
        recipe: what to load.
        folder: where its files lie.
        device: where to put it.

    Raises:
        RecipeError: as :func:`load_network`, or the vocabulary cannot be read.
    """
    if recipe.source.transformers:
        adapters = importlib.import_module("handlers.adapters")  # needs transformers, which few servers have
        network, tokenizer = adapters.load_language_model(recipe, folder)
        return _frozen(network, device), tokenizer
    words = read_lines(folder / str(recipe.vocabulary))
    return load_network(recipe, folder, device), WordTokenizer(words)


def _frozen(network: nn.Module, device: torch.device) -> nn.Module:
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
        state = load_state(folder / weights.file) if weights.file else None
        return from_transformers(source.transformers, folder, pretrained=weights.pretrained, state=state)
    raise RecipeError("source: give one of python, torchvision, timm, transformers")


def _from_file(source: PythonSource, folder: Path) -> nn.Module:
    factory = getattr(load_module(folder / source.file), source.factory, None)
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
        network.load_state_dict(load_state(file))
    except RuntimeError as error:
        raise RecipeError(f"weights.file: {file.name} does not fit the network: {error}") from error
