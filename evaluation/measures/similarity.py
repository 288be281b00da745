"""How alike two maps are."""

from typing import Final

import torch
from scipy.stats import rankdata
from torch import Tensor

from saliency.blur import blur

SIGMA: Final = 1.5
"""Standard deviation in pixels of the Gaussian window of :func:`ssim`."""
RADIUS: Final = 5
"""Pixels from the middle of that window to its edge."""
_C1, _C2 = 0.01**2, 0.03**2  # (K1 L)^2 and (K2 L)^2, for values in a range of L = 1


def correlation(maps: Tensor, others: Tensor) -> Tensor:
    """Pearson's correlation of the pixels of two maps.

    Args:
        maps: ``[N, ...]``.
        others: of the same shape.

    Returns:
        float64 ``[N]`` in [-1, 1] but for rounding; not a number where one of two is flat.
    """
    first, second = (m.double().flatten(1) for m in (maps, others))
    first, second = first - first.mean(1, keepdim=True), second - second.mean(1, keepdim=True)
    spread = (first.square().sum(1) * second.square().sum(1)).sqrt()
    return (first * second).sum(1) / spread.where(spread > 0, torch.nan)


def rank_correlation(maps: Tensor, others: Tensor) -> Tensor:
    """Spearman's rank correlation of the pixels of two maps; equal values share the mean of their ranks.

    Args:
        maps: ``[N, H, W]``.
        others: of the same shape.

    Returns:
        float64 ``[N]`` in [-1, 1]; 1 for equal maps, also flat ones, and 0 where only one of two is flat.
    """
    first, second = (torch.from_numpy(rankdata(m.double().cpu().flatten(1).numpy(), axis=1)) for m in (maps, others))
    return correlation(first, second).nan_to_num(0.0).masked_fill((first == second).all(1), 1.0)


def ssim(maps: Tensor, others: Tensor) -> Tensor:
    """Structural similarity, averaged over all windows that lie within the maps.

    Wang et al., "Image quality assessment: from error visibility to structural similarity" (IEEE TIP 2004), equation
    13, with their Gaussian window of 11 x 11 and constants.

    Args:
        maps: in [0, 1], ``[N, H, W]``.
        others: likewise.

    Returns:
        float64 ``[N]`` in [-1, 1]; 1 for equal maps.

    Raises:
        ValueError: the maps are smaller than the window.
    """
    if min(maps.shape[1:]) <= 2 * RADIUS:
        raise ValueError(f"maps must have at least {2 * RADIUS + 1} rows and columns, not {list(maps.shape[1:])}")
    x, y = maps.double(), others.double()
    mean_x, mean_y, xx, yy, xy = (_windows(values) for values in (x, y, x * x, y * y, x * y))
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x.square() + mean_y.square() + _C1)
    variances = xx - mean_x.square() + yy - mean_y.square()
    structure = (2 * (xy - mean_x * mean_y) + _C2) / (variances + _C2)
    return (luminance * structure).mean((1, 2))


def _windows(values: Tensor) -> Tensor:
    """The weighted mean of each whole window, ``[N, H - 10, W - 10]``."""
    return blur(values[:, None], SIGMA, RADIUS)[:, 0, RADIUS:-RADIUS, RADIUS:-RADIUS]
