"""How much of a map lies behind the wall, against closed forms."""

import math

import pytest
import torch

from evaluation.audits.walls.measure import hidden_norm, shown
from evaluation.controls import centre, fake_cam


def test_a_uniform_map() -> None:
    norm = hidden_norm(shown(torch.ones(1, 14, 14), (224, 224)), 170)
    assert float(norm) == pytest.approx(math.sqrt(54 / 224))
    assert round(float(norm), 3) == 0.491


def test_a_map_of_one_value_above_and_one_behind() -> None:
    maps = torch.cat([torch.full((1, 6, 5), 3.0), torch.full((1, 2, 5), 4.0)], 1)
    maps[0, 0, 0] = 0  # so that min-max only scales
    expected = math.sqrt(2 * 5 * 4**2 / (2 * 5 * 4**2 + (6 * 5 - 1) * 3**2))
    assert float(hidden_norm(shown(maps, (8, 5)), 6)) == pytest.approx(expected)


def test_all_behind_and_nothing_behind() -> None:
    maps = torch.zeros(2, 8, 8)
    maps[0, 7, 3], maps[1, 0, 3] = 1, 1
    assert hidden_norm(shown(maps, (8, 8)), 6).tolist() == [1.0, 0.0]


def test_negative_values_are_not_shown_and_do_not_lift_the_rest() -> None:
    maps = torch.zeros(1, 8, 8)
    maps[0, 0, 0], maps[0, 1, 1] = 2, -5
    looked_at = shown(maps, (8, 8))
    assert looked_at[0, 0, 0] == 1
    assert looked_at.count_nonzero() == 1


def test_a_map_of_zeros_has_no_share() -> None:
    assert hidden_norm(shown(-torch.ones(1, 4, 4), (8, 8)), 6).isnan().all()


def test_controls() -> None:
    fake = hidden_norm(shown(fake_cam(224, 224)[None], (224, 224)), 170)
    assert float(fake) == pytest.approx(math.sqrt(54 * 224 / (224 * 224 - 1)))
    assert float(hidden_norm(shown(centre(224, 224)[None], (224, 224)), 170)) < float(fake)
