"""Files of models that libraries publish: from the machine's cache, or from the network if it answers soon."""

import importlib
import urllib.error
import urllib.request
from pathlib import Path

import torch

from model_store.recipe import RecipeError

_PATIENCE_S = 5.0
_CONFIGURATION = "config.json"
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
_LANGUAGE = ("tokenizer*.json", "vocab.*", "merges.txt", "*_tokens*.json", "generation_config.json")


def from_hub(name: str, *, weights: bool, language: bool = False) -> Path:
    """The folder with a model of the Hugging Face hub: its configuration, and what else is wanted.

    Args:
        name: its id.
        weights: whether its safetensors are.
        language: whether its tokenizer is, and how it generates.

    Raises:
        RecipeError: it is neither in the cache nor to be had.
    """
    hub = importlib.import_module("huggingface_hub")  # comes with timm and transformers
    online = _answers(hub.constants.ENDPOINT)
    wanted = [_CONFIGURATION, *(_WEIGHTS if weights else ()), *(_LANGUAGE if language else ())]
    try:
        return Path(hub.snapshot_download(name, allow_patterns=wanted, local_files_only=not online))
    except (OSError, ValueError) as error:  # the hub's own errors are of these kinds
        reason = str(error).splitlines()[0] if online else f"{hub.constants.ENDPOINT} does not answer"
        raise unavailable(name, reason) from error


def fetch_torch_weights(name: str, url: str) -> None:
    """Makes sure that weights which torch.hub would download are in its cache.

    Raises:
        RecipeError: they are neither in the cache nor to be had.
    """
    if (Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name).exists():
        return
    if not _answers(url):
        raise unavailable(name, f"{url} does not answer")


def unavailable(name: str, reason: str) -> RecipeError:
    """Weights that cannot be had."""
    return RecipeError(
        f"weights.pretrained: {name} cannot be downloaded ({reason}); connect this machine, or put the weights into the"
        " model's folder and name them in weights.file"
    )


def _answers(url: str) -> bool:
    """Whether a server answers at all; libraries go on trying for minutes."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  (of libraries' own addresses)
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S):  # noqa: S310
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
