"""ADCC: one figure made of average drop, coherency and complexity.

Poppi et al., "Revisiting the evaluation of class activation mapping for explainability" (CVPR Workshops 2021).
"""

import torch
from torch import Tensor

from evaluation.measures.complexity import mean_activation
from evaluation.measures.similarity import correlation


def coherency(maps: Tensor, again: Tensor) -> Tensor:
    """Whether a map explains what it shows: ``(Pearson(map of x ⊙ map, map of x) + 1) / 2``.

    Args:
        maps: of the images, ``[N, H, W]``.
        again: of the images behind these maps, by the same method for the same class, ``[N, H, W]``.

    Returns:
        ``[N]`` in [0, 1]; 0 where a map is flat, for which there is no correlation.
    """
    return ((correlation(maps, again).clamp(-1.0, 1.0) + 1) / 2).nan_to_num(0.0).to(maps.dtype)


def adcc(maps: Tensor, again: Tensor, drop: Tensor) -> Tensor:
    """The harmonic mean of coherency, one less complexity and one less drop: ``[N]`` in [0, 1], higher is better.

    Args:
        maps: as for :func:`coherency`.
        again: as for :func:`coherency`.
        drop: of the probability behind the map, ``[N]`` in [0, 1]; see :func:`saliency.faithfulness.drop`.
    """
    parts = (coherency(maps, again), 1 - mean_activation(maps), 1 - drop)
    # A part that is 0 has an infinite reciprocal, which makes the mean 0, as it should be.
    return torch.stack(parts).reciprocal().mean(0).reciprocal()
