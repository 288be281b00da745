"""Masks of COCO's annotation files: polygons and run lengths, in both of their forms."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BITS = 5
"""Of a number's each character; one more says whether another follows."""


def mask_of(segmentation: Any, height: int, width: int) -> NDArray[np.bool_]:
    """The pixels of an object.

    Args:
        segmentation: a list of polygons ``[x, y, x, y, ...]``, or a mapping of ``size`` and ``counts``, which are a
            list of run lengths or a string of them.
        height: of the picture, in pixels.
        width: likewise.

    Returns:
        bool ``[height, width]``.

    Raises:
        ValueError: it is neither, or does not fit the picture.
    """
    match segmentation:
        case list():
            mask = np.zeros((height, width), dtype=bool)
            for polygon in segmentation:
                mask |= _filled(polygon, height, width)
            return mask
        case {"size": [int(rows), int(columns)], "counts": counts} if (rows, columns) == (height, width):
            return _unrolled(_lengths(counts) if isinstance(counts, str) else counts, height, width)
        case {"size": size}:
            raise ValueError(f"a mask of size {size} does not fit a picture of height {height} and width {width}")
    raise ValueError("a segmentation is a list of polygons, or has size and counts")


def _filled(polygon: Sequence[float], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels whose centres lie inside: an odd number of edges is crossed on the way to the right."""
    corners = np.asarray(polygon, dtype=np.float64).reshape(-1, 2) - 0.5  # so that centres are whole numbers
    crossed = np.zeros((height, width + 1), dtype=np.int64)
    for (x, y), (to_x, to_y) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        low, high = np.ceil(np.clip(sorted((y, to_y)), 0, height)).astype(int)
        rows = np.arange(low, high)
        if len(rows):
            places = np.ceil(x + (rows - y) * (to_x - x) / (to_y - y)).astype(int)
            crossed[rows, places.clip(0, width)] += 1
    to_the_right = crossed[:, ::-1].cumsum(1)[:, ::-1]
    inside: NDArray[np.bool_] = to_the_right[:, 1:] % 2 == 1
    return inside


def _unrolled(lengths: Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """Runs of zeros and ones in turns, down the columns."""
    if sum(lengths) != height * width or min(lengths) < 0:
        raise ValueError(f"run lengths add up to {sum(lengths)} pixels, not to {height * width}")
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(width, height).T


def _lengths(text: str) -> list[int]:
    """Numbers in base 32, lowest digit first; from the fourth on, each is the difference to the one two before."""
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        digit = ord(character) - 48
        value |= (digit & 31) << shift
        shift += _BITS
        if digit & 32:
            continue
        if digit & 16:  # negative
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths
