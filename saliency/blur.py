"""Blurred images."""

import torch
from torch import Tensor


def blur(pictures: Tensor, sigma: float, radius: int) -> Tensor:
    """Images under a Gaussian that is cut at the border and made to sum to one there.

    Args:
        pictures: ``[B, C, H, W]``.
        sigma: standard deviation in pixels.
        radius: how many pixels away, in rows and in columns, the Gaussian ends.

    Returns:
        Of the same shape and dtype.
    """
    precise = pictures.to(torch.promote_types(pictures.dtype, torch.float32))
    rows, columns = (_gaussian(side, sigma, radius).to(precise) for side in pictures.shape[-2:])
    return (rows @ precise @ columns.T).to(pictures.dtype)


def _gaussian(side: int, sigma: float, radius: int) -> Tensor:
    """``[side, side]``, of which row i has the weights of all pixels for pixel i."""
    places = torch.arange(side, dtype=torch.float64)
    distance = (places[:, None] - places).abs()
    weights = torch.exp(-0.5 * (distance / sigma) ** 2).where(distance <= radius, 0.0)
    return weights / weights.sum(1, keepdim=True)
