"""ADCC and its parts against SciPy and closed forms."""

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from evaluation.measures.adcc import adcc, coherency
from evaluation.measures.complexity import entropy, mean_activation


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_coherency_is_pearsons_correlation_brought_to_the_unit_interval() -> None:
    maps, again = _draw(3, 4, 5), _draw(3, 4, 5, seed=1)
    expected = [(stats.pearsonr(a.flatten(), b.flatten()).statistic + 1) / 2 for a, b in zip(maps, again, strict=True)]
    assert coherency(maps, again).tolist() == pytest.approx(expected)


def test_coherency_of_equal_opposite_and_flat_maps() -> None:
    maps = _draw(1, 4, 4)
    assert float(coherency(maps, maps * 0.5 + 0.1)) == pytest.approx(1.0)
    assert float(coherency(maps, 1 - maps)) == pytest.approx(0.0)
    assert float(coherency(maps, torch.zeros_like(maps))) == 0.0
    assert float(coherency(torch.ones_like(maps), maps)) == 0.0


def test_adcc_is_the_harmonic_mean() -> None:
    maps, again, drop = _draw(3, 4, 5), _draw(3, 4, 5, seed=1), _draw(3, seed=2)
    found = adcc(maps, again, drop)
    for row in range(3):
        parts = [float(coherency(maps, again)[row]), 1 - float(maps[row].mean()), 1 - float(drop[row])]
        assert float(found[row]) == pytest.approx(stats.hmean(parts))


@pytest.mark.parametrize("worst", ["coherency", "complexity", "drop"])
def test_adcc_is_zero_if_a_part_is(worst: str) -> None:
    maps = torch.ones(1, 4, 4) if worst == "complexity" else _draw(1, 4, 4)
    again = torch.zeros(1, 4, 4, dtype=maps.dtype) if worst == "coherency" else _draw(1, 4, 4).to(maps.dtype)
    assert float(adcc(maps, again, torch.tensor([1.0 if worst == "drop" else 0.2]).to(maps.dtype))) == 0.0


def test_complexities() -> None:
    maps = torch.zeros(3, 2, 4, dtype=torch.float64)
    maps[1, 0, 0], maps[2] = 1.0, 0.5
    assert mean_activation(maps).tolist() == pytest.approx([0.0, 1 / 8, 0.5])
    assert entropy(maps).tolist() == pytest.approx([math.log(8), 0.0, math.log(8)])
    uneven = _draw(1, 3, 3)
    assert float(entropy(uneven)) == pytest.approx(stats.entropy(uneven.flatten().numpy()))
