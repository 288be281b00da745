"""Files of weights: safetensors, or what torch saves of tensors alone; never a pickle of anything else."""

from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors.torch import load_file
from torch import Tensor

from model_store.recipe import RecipeError


def load_state(file: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights, by name.

    Raises:
        RecipeError: it holds more than tensors.
    """
    if file.suffix == ".safetensors":
        return load_file(file)
    try:
        state: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise RecipeError(f"weights.file: {file.name} holds more than tensors; save the state dict alone") from error
    return state
