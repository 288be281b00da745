"""Pointing games against loops over pixels."""

import math

import pytest
import torch
from torch import Tensor

from evaluation.measures.pointing import energy_inside, extended_pointing, mean_over_classes, pointing, points


def _maps(count: int) -> Tensor:
    return torch.rand(count, 6, 9, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("tolerance", [0.0, 1.0, 1.5, 3.0])
def test_a_hit_is_less_than_the_tolerance_from_the_object(tolerance: float) -> None:
    maps = _maps(40)
    masks = torch.rand(40, 6, 9, generator=torch.Generator().manual_seed(1)) < 0.08
    found = pointing(maps, masks, tolerance).tolist()
    for row in range(40):
        y, x = divmod(int(maps[row].flatten().argmax()), 9)
        distances = [math.hypot(a - y, b - x) for a in range(6) for b in range(9) if masks[row, a, b]]
        near = min(distances, default=math.inf)
        assert found[row] == (near == 0 or near < tolerance)
    assert any(found)
    assert not all(found)


def test_flat_maps_and_empty_masks_miss() -> None:
    maps = torch.stack([torch.zeros(3, 3), torch.ones(3, 3), torch.eye(3)])
    masks = torch.ones(3, 3, 3, dtype=torch.bool)
    masks[2] = False
    assert pointing(maps, masks, 5.0).tolist() == [False, False, False]
    assert points(maps).tolist() == [[-1, -1], [-1, -1], [0, 0]]


def test_absent_classes_are_to_be_rejected_and_present_ones_hit() -> None:
    cases = [  # peak, hit, present, right
        (0.9, True, True, True),
        (0.9, False, True, False),
        (0.1, True, True, False),
        (0.9, False, False, False),
        (0.1, False, False, True),
        (0.5, True, True, True),  # at the threshold it is not below it
    ]
    peaks, hits, present, right = (torch.tensor(column) for column in zip(*cases, strict=True))
    assert torch.equal(extended_pointing(peaks, hits, present, 0.5), right)


def test_energy_is_the_mass_inside() -> None:
    maps = _maps(3).double()
    masks = maps.flip(0) > 0.5
    maps[2] = 0
    expected = [sum(m[k].tolist()) / float(m.sum()) for m, k in zip(maps[:2], masks[:2], strict=True)]
    assert energy_inside(maps, masks).tolist() == pytest.approx([*expected, 0.0])
    assert float(energy_inside(maps[:1], torch.ones_like(masks[:1]))) == pytest.approx(1.0)


def test_every_class_counts_alike() -> None:
    values, classes = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.5]), torch.tensor([3, 3, 3, 5, 5])
    assert mean_over_classes(values, classes) == pytest.approx((1.0 + 0.25) / 2)
