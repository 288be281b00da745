"""Masks of COCO: polygons, and both forms of run lengths."""

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.pictures.rle import mask_of


def _lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Run lengths down the columns, zeros first."""
    lengths, value = [0], False
    for pixel in mask.T.ravel():
        if pixel == value:
            lengths[-1] += 1
        else:
            lengths.append(1)
            value = bool(pixel)
    return lengths


def _packed(lengths: list[int]) -> str:
    """As the format's description has it: signed differences in groups of five bits, lowest first."""
    text = ""
    for place, length in enumerate(lengths):
        value = length - lengths[place - 2] if place > 2 else length
        while True:
            digit, value = value & 31, value >> 5
            done = (value == 0 and not digit & 16) or (value == -1 and bool(digit & 16))
            text += chr(48 + digit + (0 if done else 32))
            if done:
                break
    return text


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_of_either_form(seed: int) -> None:
    mask = np.random.default_rng(seed).random((37, 61)) < (0.5 if seed else 0.001)
    lengths = _lengths(mask)
    size = list(mask.shape)
    np.testing.assert_array_equal(mask_of({"size": size, "counts": lengths}, *mask.shape), mask)
    np.testing.assert_array_equal(mask_of({"size": size, "counts": _packed(lengths)}, *mask.shape), mask)


def test_polygons_are_filled() -> None:
    mask = mask_of([[2, 1, 6, 1, 6, 4, 2, 4], [8, 8, 10, 8, 10, 10, 8, 10]], 12, 14)
    expected = np.zeros((12, 14), dtype=bool)
    expected[1:4, 2:6] = True
    expected[8:10, 8:10] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("seed", range(5))
def test_a_pixel_is_inside_if_its_centre_is(seed: int) -> None:
    """By the angle that the outline makes around the centre: a whole turn, or several, or none."""
    corners = np.random.default_rng(seed).uniform(-5, 45, (3, 2))
    rows, columns = np.mgrid[:30, :40] + 0.5
    around = (corners[:, 0, None, None] - columns) + 1j * (corners[:, 1, None, None] - rows)
    turns = np.angle(np.roll(around, -1, axis=0) / around).sum(0) / (2 * np.pi)
    np.testing.assert_array_equal(mask_of([corners.ravel().tolist()], 30, 40), np.abs(turns).round() == 1)


@pytest.mark.parametrize(
    ("segmentation", "fault"),
    [
        ({"size": [2, 3], "counts": [6]}, "does not fit"),
        ({"size": [2, 2], "counts": [3]}, "add up to 3"),
        ({"size": [2, 2], "counts": [6, -2]}, "add up to"),
        ("circle", "list of polygons"),
    ],
)
def test_what_does_not_fit_is_named(segmentation: object, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        mask_of(segmentation, 2, 2)
