"""A classifier in this process, seen from the pixels: images in [0, 1] in, probabilities and maps out."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from model_store.module import load_module
from model_store.recipe import RecipeError, load_recipe
from saliency import explain
from saliency.masking import CHUNK


@dataclass(frozen=True, eq=False)
class Classifier:
    """A network with its normalisation.

    Attributes:
        name: and version, for reports.
        network: in evaluation mode, from normalised images ``[R, 3, H, W]`` to logits ``[R, classes]``.
        mean: per channel, of pixels in [0, 1].
        std: per channel.
        size: height and width of its input in pixels.
        labels: of its classes.
        layers: which are explained; none: the automatic choice.
        digest: of the weights, by which results of other weights are told.
    """

    name: str
    network: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int]
    labels: tuple[str, ...]
    layers: tuple[str, ...]
    digest: str

    def probabilities(self, images: Tensor) -> Tensor:
        """Softmax output ``[R, classes]`` of images ``[R, 3, H, W]`` in [0, 1], in chunks."""
        with torch.inference_mode():
            return torch.cat([self.network(self._normalised(chunk)).softmax(1) for chunk in torch.split(images, CHUNK)])

    def maps(self, images: Tensor, classes: Tensor, method: str, options: Mapping[str, Any]) -> Tensor:
        """Raw maps ``[N, h, w]`` of images ``[N, 3, H, W]`` in [0, 1] for a class each.

        Raises:
            ValueError: the method or an option is not known, or the method does not work on the network.
        """
        black = [-mean / std for mean, std in zip(self.mean, self.std, strict=True)]
        layers = self.layers or None
        inputs = self._normalised(images)
        return explain(self.network, inputs, classes.tolist(), method, layers, black=black, **options).maps

    def _normalised(self, images: Tensor) -> Tensor:
        return (images - _plane(self.mean, images)) / _plane(self.std, images)


def load_classifier(folder: Path) -> Classifier:
    """The classifier of a folder of the model store whose network is a Python file with weights beside it.

    Raises:
        RecipeError: the recipe is missing or wrong, or is not of that kind.
    """
    recipe = load_recipe(folder)
    source, file = recipe.source.python, recipe.weights.file
    if recipe.task != "classify" or source is None or file is None or not file.endswith(".safetensors"):
        raise RecipeError(
            f"{folder}: only classifiers with source.python and weights.file in safetensors can be compared"
        )
    network: nn.Module = getattr(load_module(folder / source.file), source.factory)()
    network.load_state_dict(load_file(folder / file))
    return Classifier(
        name=f"{recipe.name} {recipe.version}",
        network=network.eval().requires_grad_(False),
        mean=recipe.preprocessing.mean,
        std=recipe.preprocessing.std,
        size=recipe.preprocessing.size,
        labels=recipe.labels or (),
        layers=recipe.explanation.layers,
        digest=hashlib.sha256((folder / file).read_bytes()).hexdigest(),
    )


def _plane(values: Sequence[float], images: Tensor) -> Tensor:
    return images.new_tensor(values)[:, None, None]
