"""How complex maps are: the less of the picture they need, the easier they are to read."""

import math

from torch import Tensor


def mean_activation(maps: Tensor) -> Tensor:
    """The mean of each map ``[N, H, W]``, ``[N]`` in [0, 1]; Poppi et al., 2021, call it complexity."""
    return maps.mean((-2, -1))


def entropy(maps: Tensor) -> Tensor:
    """The entropy of how each map's mass is spread, ``-Σ q ln q``, ``q = map / Σ map``.

    Bhatt et al., "Evaluating and aggregating feature-based model explanations" (IJCAI 2020).

    Returns:
        ``[N]`` in nats, 0 for a single pixel to ``ln(H W)`` for a uniform map; that too for a map of zeros.
    """
    pixels = maps.flatten(1)
    total = pixels.sum(1, keepdim=True)
    shares = pixels / total.where(total > 0, 1.0)
    bits = -(shares * shares.where(shares > 0, 1.0).log()).sum(1)
    return bits.where(total[:, 0] > 0, math.log(pixels.shape[1]))
