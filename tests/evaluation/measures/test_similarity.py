"""Rank correlation and SSIM against SciPy and the formula itself, window by window."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from evaluation.measures.similarity import rank_correlation, ssim


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_rank_correlation_is_spearmans() -> None:
    maps, others = _draw(4, 6, 7), _draw(4, 6, 7, seed=1)
    maps, others = (maps * 5).round(), maps + others  # many equal values
    expected = [stats.spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(maps, others, strict=True)]
    assert rank_correlation(maps, others).tolist() == pytest.approx(expected)


def test_rank_correlation_of_equal_opposite_and_flat_maps() -> None:
    maps, flat = _draw(1, 5, 5), torch.full((1, 5, 5), 0.3)
    assert float(rank_correlation(maps, maps.exp())) == pytest.approx(1.0)
    assert float(rank_correlation(maps, -maps)) == pytest.approx(-1.0)
    assert float(rank_correlation(maps, flat)) == 0.0
    assert float(rank_correlation(flat, flat)) == 1.0


def _ssim_by_hand(x: Tensor, y: Tensor) -> float:
    """Equation 13 of Wang et al. in every window of 11 x 11."""
    steps = [math.exp(-((place - 5) ** 2) / (2 * 1.5**2)) for place in range(11)]
    window = torch.tensor([[a * b for b in steps] for a in steps], dtype=torch.float64)
    window /= window.sum()
    found = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = (m[top : top + 11, left : left + 11] for m in (x, y))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
            both = (window * (a - mean_a) * (b - mean_b)).sum()
            luminance = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
            found.append(float(luminance * (2 * both + 9e-4) / (var_a + var_b + 9e-4)))
    return sum(found) / len(found)


def test_ssim_is_the_formula() -> None:
    maps = _draw(3, 15, 13)
    others = 0.6 * maps + 0.4 * _draw(3, 15, 13, seed=1)
    assert ssim(maps, others).tolist() == pytest.approx(
        [_ssim_by_hand(a, b) for a, b in zip(maps, others, strict=True)]
    )


def test_ssim_of_equal_and_inverted_maps() -> None:
    maps = _draw(2, 16, 16)
    assert ssim(maps, maps).tolist() == pytest.approx([1.0, 1.0])
    assert (ssim(maps, 1 - maps) < 0).all()


def test_maps_smaller_than_the_window_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 11 rows and columns"):
        ssim(_draw(1, 10, 12), _draw(1, 10, 12))
