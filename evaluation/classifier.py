"""A classifier in this process, seen from the pixels: images in [0, 1] in, probabilities and maps out."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from handlers.network import labels_of, load_network
from model_store.recipe import RecipeError, load_recipe
from saliency import explain
from saliency.capture import scores_of
from saliency.lean import often
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

    @property
    def black(self) -> list[float]:
        """What a black pixel is to the network, per channel."""
        return [-mean / std for mean, std in zip(self.mean, self.std, strict=True)]

    def at(self, *layers: str) -> "Classifier":
        """The same, explained at other layers."""
        return replace(self, layers=layers)

    def logits(self, images: Tensor) -> Tensor:
        """Logits ``[R, classes]`` of images ``[R, 3, H, W]`` in [0, 1], by which these can be differentiated."""
        return scores_of(self.network(self.normalised(images)))

    def probabilities(self, images: Tensor) -> Tensor:
        """Softmax output ``[R, classes]`` of images ``[R, 3, H, W]`` in [0, 1], in chunks."""
        network = often(self.network, images[:1])
        with torch.inference_mode():
            chunks = [scores_of(network(self.normalised(chunk))) for chunk in torch.split(images, CHUNK)]
            return torch.cat(chunks).softmax(1)

    def maps(self, images: Tensor, classes: Tensor, method: str, options: Mapping[str, Any]) -> Tensor:
        """Raw maps ``[N, h, w]`` of images ``[N, 3, H, W]`` in [0, 1] for a class each.

        Raises:
            ValueError: the method or an option is not known, or the method does not work on the network.
        """
        layers = self.layers or None
        inputs = self.normalised(images)
        return explain(self.network, inputs, classes.tolist(), method, layers, black=self.black, **options).maps

    def normalised(self, images: Tensor) -> Tensor:
        """What the network takes, of images ``[R, 3, H, W]`` in [0, 1]."""
        return (images - _plane(self.mean, images)) / _plane(self.std, images)


def load_classifier(folder: Path) -> Classifier:
    """The classifier of a folder of the model store, loaded as a worker of the service loads it.

    Raises:
        RecipeError: the recipe is missing or wrong, or is not of a classifier.
    """
    recipe = load_recipe(folder)
    if recipe.task != "classify":
        raise RecipeError(f"{folder}: its task is {recipe.task}; only classifiers can be evaluated")
    network = load_network(recipe, folder, torch.device("cpu"))
    return Classifier(
        name=f"{recipe.name} {recipe.version}",
        network=network,
        mean=recipe.preprocessing.mean,
        std=recipe.preprocessing.std,
        size=recipe.preprocessing.size,
        labels=labels_of(recipe, network),
        layers=recipe.explanation.layers,
        digest=_digest(network),
    )


def _digest(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _plane(values: Sequence[float], images: Tensor) -> Tensor:
    return images.new_tensor(values)[:, None, None]
