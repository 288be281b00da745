"""What is dissected: layers of a model of the store, loaded as a worker of the service loads it."""

import hashlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from handlers.network import load_language_model, load_network
from model_store.recipe import Recipe, RecipeError, load_recipe
from model_store.sections import Weights
from saliency.capture import Inputs, forward
from saliency.choice import last_spatial, resolve
from saliency.layers import LayerError

_SEED = 0  # of the untrained weights


@dataclass(frozen=True, eq=False)
class Subject:
    """A network and the layers of it that are dissected.

    Attributes:
        name: and version, for reports.
        network: in evaluation mode.
        texts: what else it takes: names of inputs with the ids of some text. Nothing that looks at the image alone
            depends on it.
        layers: dotted names.
        size: height and width of its input in pixels.
        mean: ``[3, 1, 1]``, of pixels in [0, 1].
        std: ``[3, 1, 1]``.
    """

    name: str
    network: nn.Module
    texts: Mapping[str, tuple[int, ...]]
    layers: tuple[str, ...]
    size: tuple[int, int]
    mean: Tensor
    std: Tensor

    def activations(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """What the layers make of images ``[B, 3, H, W]`` in [0, 1]: their names with ``[B, C, h, w]``."""
        inputs = self._inputs(images)
        with torch.inference_mode():
            run = forward(self.network, inputs, resolve(self.network, self.layers, inputs), graph=False)
        yield from zip(self.layers, run.activations, strict=True)

    def _inputs(self, images: Tensor) -> Inputs:
        return _inputs((images - self.mean) / self.std, self.texts)


def load(folder: Path, layers: Sequence[str] = (), *, trained: bool = True) -> Subject:
    """A model of the store.

    Args:
        folder: the model's.
        layers: dotted names; none: those that its recipe explains, or the last before pooling.
        trained: whether it gets its weights, or random ones.

    Raises:
        RecipeError: it cannot be loaded, or has no such layer.
    """
    recipe = load_recipe(folder, units=False)
    if not trained:
        recipe = recipe.model_copy(update={"weights": Weights(random=True, seed=_SEED)})
    network, texts = _network(recipe, folder)
    example = _inputs(torch.zeros(1, 3, *recipe.preprocessing.size), texts)
    try:
        with torch.inference_mode():
            names = layers or recipe.explanation.layers or (last_spatial(network, example).name,)
            resolve(network, names, example)
    except LayerError as error:
        raise RecipeError(f"{folder}: {error}") from error
    return Subject(
        name=f"{recipe.name} {recipe.version}",
        network=network,
        texts=texts,
        layers=tuple(names),
        size=recipe.preprocessing.size,
        mean=torch.tensor(recipe.preprocessing.mean)[:, None, None],
        std=torch.tensor(recipe.preprocessing.std)[:, None, None],
    )


def digest(folder: Path) -> str | None:
    """SHA-256 of a model's file of weights; None if it has none."""
    file = load_recipe(folder, units=False).weights.file
    return hashlib.sha256((folder / file).read_bytes()).hexdigest() if file else None


def _network(recipe: Recipe, folder: Path) -> tuple[nn.Module, Mapping[str, tuple[int, ...]]]:
    device = torch.device("cpu")
    if recipe.task == "classify":
        return load_network(recipe, folder, device), {}
    network, tokenizer = load_language_model(recipe, folder, device)
    names = [name for name in inspect.signature(network.forward).parameters if name != "images"]
    return network, dict.fromkeys(names, tokenizer.read(recipe.name).tokens)


def _inputs(images: Tensor, texts: Mapping[str, tuple[int, ...]]) -> Inputs:
    if not texts:
        return images
    return {"images": images, **{name: torch.tensor([ids] * len(images)) for name, ids in texts.items()}}
