"""The outlines against closed-form areas and against the promises in the docstrings."""

import math

import numpy as np
import pytest

from model_store.scenes.shapes import FIELDS, REACH
from model_store.scenes.vocabulary import SHAPES

CELL = 1.5 / 600
TICKS = ((np.arange(600) + 0.5) * CELL - 0.75).astype(np.float32)
X, Y = np.meshgrid(TICKS, TICKS)


def crescent_area() -> float:
    """Disc of radius 0.5 less its lens with a disc of radius 0.42 at a distance of 0.24."""
    big, small, d = 0.5, 0.42, 0.24
    lens = (
        small**2 * math.acos((d**2 + small**2 - big**2) / (2 * d * small))
        + big**2 * math.acos((d**2 + big**2 - small**2) / (2 * d * big))
        - 0.5 * math.sqrt((-d + small + big) * (d + small - big) * (d - small + big) * (d + small + big))
    )
    return math.pi * big**2 - lens


AREAS = {
    "circle": math.pi / 4,
    "square": 1.0,
    "triangle": math.sqrt(3) / 4,
    "star": 5 * 0.5257 * 0.235 * math.sin(math.pi / 5),
    "cross": 2 * 0.3 - 0.3**2,
    "ring": math.pi * (0.5**2 - 0.28**2),
    "crescent": crescent_area(),
    "arrow": 0.5 * 0.84 * 0.52 + 0.28 * 0.48,
    "hourglass": 2 * 0.5 * (0.84 + 0.1042) / 2,
}


def test_every_class_has_an_outline() -> None:
    assert tuple(FIELDS) == SHAPES


@pytest.mark.parametrize("shape", AREAS)
def test_area_matches_the_closed_form(shape: str) -> None:
    area = (FIELDS[shape](X, Y) <= 0).sum() * CELL**2
    assert area == pytest.approx(AREAS[shape], rel=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_extent_centre_and_reach(shape: str) -> None:
    inside = FIELDS[shape](X, Y) <= 0
    width, height = X[inside].max() - X[inside].min() + CELL, Y[inside].max() - Y[inside].min() + CELL
    assert max(width, height) == pytest.approx(1.0, abs=0.02)
    assert X[inside].mean() == pytest.approx(0.0, abs=0.005)
    assert Y[inside].mean() == pytest.approx(0.0, abs=0.005)
    assert np.hypot(X, Y)[inside].max() <= REACH


@pytest.mark.parametrize("shape", SHAPES)
def test_field_is_a_distance_near_the_outline(shape: str) -> None:
    field = FIELDS[shape](X, Y)
    assert field.dtype == np.float32
    slope_y, slope_x = np.gradient(field, CELL)
    near = np.abs(field) < 2 * CELL
    assert np.median(np.hypot(slope_x, slope_y)[near]) == pytest.approx(1.0, abs=0.02)
