"""Networks that libraries know by name.

Each library is imported only for a recipe that names it: torchvision because it takes as long as all else together,
timm and transformers because they come with ``camserve-server[models]`` alone.
"""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from handlers.hub import fetch_torch_weights, from_hub, unavailable
from model_store.recipe import RecipeError
from model_store.sections import TransformersSource


def from_torchvision(name: str, *, pretrained: bool) -> nn.Module:
    """A network by torchvision's name of it.

    Raises:
        RecipeError: torchvision does not know the name, or its weights cannot be had.
    """
    models = import_library("torchvision.models")
    try:
        weights = models.get_model_weights(name).DEFAULT if pretrained else None
        if weights:
            fetch_torch_weights(name, weights.url)
        network: nn.Module = models.get_model(name, weights=weights)
    except ValueError as error:
        raise RecipeError(f"source.torchvision.name: {error}") from error
    except OSError as error:
        raise unavailable(name, str(error)) from error
    return network


def torchvision_labels(name: str) -> Sequence[str]:
    """The labels that torchvision's weights of a network were trained for; none if there are no such weights."""
    weights = import_library("torchvision.models").get_model_weights(name)
    labels: Sequence[str] = next(iter(weights)).meta.get("categories", ())
    return labels


def from_timm(name: str, *, pretrained: bool) -> nn.Module:
    """A network by timm's name of it.

    Raises:
        RecipeError: timm is not installed or does not know the name, or its weights cannot be had.
    """
    timm = import_library("timm")
    try:
        network: nn.Module = timm.create_model(name)
    except RuntimeError as error:
        raise RecipeError(f"source.timm.name: {error}; timm.list_models() names those there are") from error
    if pretrained:
        published: str | None = getattr(network, "pretrained_cfg", {}).get("hf_hub_id")
        if not published:
            raise RecipeError(f"weights.pretrained: timm publishes no weights of {name}; name a file in weights.file")
        file = from_hub(published, weights=True) / "model.safetensors"
        # Loaded by timm, which knows how to fit each network's published weights.
        network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": str(file)})
    return network


def timm_labels(network: nn.Module) -> Sequence[str]:
    """The labels of a network of timm for one of ImageNet's sets of classes, else none."""
    data = import_library("timm.data")
    subset = data.infer_imagenet_subset(network)
    if not subset:
        return ()
    info = data.ImageNetInfo(subset)
    return [info.index_to_description(index).split(",")[0] for index in range(info.num_classes())]


def from_transformers(
    source: TransformersSource, folder: Path, *, pretrained: bool, state: Mapping[str, Tensor] | None
) -> nn.Module:
    """An image classifier of transformers.

    Args:
        source: its id on the hub, or its configuration in the model's folder.
        folder: the model's.
        pretrained: whether to take the hub's weights.
        state: the weights to take otherwise; None for random ones.

    Raises:
        RecipeError: transformers is not installed, or configuration and weights do not fit or cannot be had.
    """
    library = import_library("transformers")
    where = from_hub(source.name, weights=pretrained) if source.name else folder
    config = transformers_config(source, where)
    try:
        with torch.device("meta"):
            kind = type(library.AutoModelForImageClassification.from_config(config))
    except ValueError as error:
        raise RecipeError(f"{_key(source)}: this is no image classifier of transformers: {error}") from error
    return transformers_network(kind, config, where if pretrained else None, state)


def transformers_config(source: TransformersSource, where: Path) -> Any:
    """A configuration of transformers, in the folder that holds it.

    Raises:
        RecipeError: transformers is not installed, or does not know what is configured.
    """
    auto = import_library("transformers").AutoConfig
    try:
        return auto.from_pretrained(where / source.config if source.config else where, local_files_only=True)
    except (OSError, ValueError) as error:
        raise RecipeError(f"{_key(source)}: transformers cannot read the configuration: {error}") from error


def transformers_network(
    kind: Any, config: Any, published: Path | None, state: Mapping[str, Tensor] | None
) -> nn.Module:
    """A network of transformers.

    Args:
        kind: its class.
        config: its configuration.
        published: the folder with the library's own weights; None if they are not wanted.
        state: the weights to take otherwise; None for random ones.

    Raises:
        RecipeError: the weights do not fit the network.
    """
    if published is None and state is None:
        network: nn.Module = kind(config)
        return network
    weights: dict[str, Any] = {"pretrained_model_name_or_path": published, "use_safetensors": True}
    if state is not None:
        weights = {"pretrained_model_name_or_path": None, "state_dict": dict(state)}
    # The library's own loading renames what older versions called otherwise. Images come in float32.
    try:
        network, report = kind.from_pretrained(**weights, config=config, dtype=torch.float32, output_loading_info=True)
    except (OSError, RuntimeError) as error:
        raise RecipeError(f"weights: they do not fit the network: {error}") from error
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise RecipeError(f"weights: they do not fit the network; missing are {missing} and perhaps more")
    return network


def transformers_labels(network: nn.Module) -> Sequence[str]:
    """The labels in a network's configuration."""
    labels: Mapping[int, str] = getattr(network, "config").id2label  # noqa: B009  (modules type all attributes)
    return [labels[index] for index in sorted(labels)]


def _key(source: TransformersSource) -> str:
    return f"source.transformers.{'name' if source.name else 'config'}"


def import_library(name: str) -> Any:
    """A library, or a part of one.

    Raises:
        RecipeError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        library = name.partition(".")[0]
        raise RecipeError(
            f"source.{library}: {library} is not installed; pip install 'camserve-server[models]'"
        ) from error
