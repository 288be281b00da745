"""Boxes against counting pixels."""

import numpy as np
import pytest

from evaluation.measures.boxes import component_boxes, overlaps


def test_overlaps_count_shared_pixels() -> None:
    rng = np.random.default_rng(0)
    corners = np.sort(rng.integers(0, 12, (2, 6, 2, 2)), axis=2)
    first, second = corners.reshape(2, 6, 4)
    found = overlaps(first, second)

    def pixels(box: np.ndarray) -> set[tuple[int, int]]:
        left, top, right, bottom = box
        return {(x, y) for x in range(left, right) for y in range(top, bottom)}

    for i, a in enumerate(map(pixels, first)):
        for j, b in enumerate(map(pixels, second)):
            assert found[i, j] == pytest.approx(len(a & b) / len(a | b) if a | b else 0.0)
    assert found.max() > 0


def test_components_touch_at_corners_and_come_largest_first() -> None:
    mask = np.array(
        [
            [1, 0, 0, 0, 0, 0],
            [0, 0, 0, 1, 0, 0],
            [0, 0, 0, 0, 1, 1],
        ],
        dtype=bool,
    )
    assert component_boxes(mask).tolist() == [[3, 1, 6, 3], [0, 0, 1, 1]]


def test_an_empty_mask_has_none() -> None:
    found = component_boxes(np.zeros((3, 4), dtype=bool))
    assert found.shape == (0, 4)
    assert overlaps(found, np.array([[0, 0, 1, 1]])).shape == (0, 1)
