"""A glance: attention that finds the place in a picture which a query asks for."""

import torch
from torch import Tensor


def glance(queries: Tensor, keys: Tensor) -> Tensor:
    """How much is looked at each place.

    Args:
        queries: `[B, T, D]`.
        keys: What is at the places, `[B, places, D]`.

    Returns:
        Shares of the look, `[B, T, places]`: its product with values `[B, places, V]` brings what is seen.
    """
    return torch.softmax(queries @ keys.transpose(1, 2) * keys.shape[2] ** -0.5, 2)
