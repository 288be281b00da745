"""A glance: attention that finds the place in a picture which a query asks for, and brings what is there."""

import torch
from torch import Tensor


def glance(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The values of the places whose keys suit the queries.

    Args:
        queries: `[B, T, D]`.
        keys: `[B, places, D]`.
        values: `[B, places, V]`.

    Returns:
        `[B, T, V]`.
    """
    weights = torch.softmax(queries @ keys.transpose(1, 2) * keys.shape[2] ** -0.5, 2)
    return weights @ values
