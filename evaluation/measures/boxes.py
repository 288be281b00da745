"""Boxes: left, top, right, bottom in pixels, right and bottom exclusive, in int64 arrays ``[n, 4]``."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Boxes = NDArray[np.int64]

_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=int)


def overlaps(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Intersection over union of each box with each, ``[n, m]``; 0 where neither has an area."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    sides = np.clip(np.minimum(first[:, None, 2:], second[None, :, 2:]) - corner, 0, None)
    shared = sides.prod(2).astype(np.float64)
    union = _areas(first)[:, None] + _areas(second)[None, :] - shared
    shares: NDArray[np.float64] = shared / np.where(union > 0, union, 1)
    return shares


def component_boxes(mask: NDArray[np.bool_]) -> Boxes:
    """Tight boxes around the connected components of a mask ``[H, W]``, the one of most pixels first.

    Pixels that touch at a corner are connected.
    """
    labels, count = ndimage.label(mask, _EIGHT_NEIGHBOURS)
    slices = ndimage.find_objects(labels)
    found = [(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in slices]
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-sizes, kind="stable")
    return np.array(found, dtype=np.int64).reshape(-1, 4)[order]


def _areas(boxes: Boxes) -> NDArray[np.int64]:
    areas: NDArray[np.int64] = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return areas
