"""From heatmaps to pictures: placing a map on its image, colours, overlays.

Maps are float32 ``[height, width]`` in cells; images uint8 ``[height, width, 3]`` RGB; boxes ``(left, top, right,
bottom)`` in pixels of the image, edges and not centres, as in ``camserve.v1.Box``.
"""

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from camserve.colormaps import COLORMAPS, DIVERGING

__all__ = [
    "COLORMAPS",
    "DEFAULT_OPACITY",
    "Box",
    "color_picture",
    "colorize",
    "default_colormap",
    "encode_png",
    "normalize",
    "overlay",
    "overlay_picture",
    "place",
    "resize",
]

DEFAULT_OPACITY = 0.5
"""Share of the map's colour in an overlay; the rest is the image."""

_Floats = npt.NDArray[np.float64]
_FloatMap = npt.NDArray[np.float32]
_Picture = npt.NDArray[np.uint8]


class Box(NamedTuple):
    """The region of an image that a map's cells cover evenly, in pixels; it may reach beyond the image."""

    left: float
    top: float
    right: float
    bottom: float


class _Kernel(NamedTuple):
    """How cells are weighted: by distance in cells, from the cells at these offsets from the one before."""

    weight: Callable[[_Floats], _Floats]
    offsets: tuple[int, ...]


def normalize(values: npt.NDArray[np.floating], *, symmetric: bool = False) -> _FloatMap:
    """Scales a map to [0, 1].

    Args:
        values: a map of any shape, finite.
        symmetric: keep zero in the middle: -max|v| becomes 0, 0 becomes 0.5 and max|v| becomes 1. Otherwise the
            smallest value becomes 0 and the largest 1.

    Returns:
        float32 of the same shape. A flat map has no range: it becomes zeros, or 0.5 where zero is kept in the middle.
    """
    values = np.asarray(values, dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    if symmetric:
        high = max(-low, high)
        low = -high
    if high == low:
        return np.full_like(values, 0.5 if symmetric else 0.0)
    # In float64, because high - low may overflow float32.
    return ((values.astype(np.float64) - low) / (high - low)).astype(np.float32)


def resize(values: npt.NDArray[np.floating], height: int, width: int) -> _FloatMap:
    """Resizes a map bilinearly (half-pixel centres, edges held), as ``align_corners=False`` elsewhere."""
    return place(values, Box(0, 0, width, height), height, width)


def place(
    values: npt.NDArray[np.floating],
    box: tuple[float, float, float, float],
    height: int,
    width: int,
    *,
    outside: float = 0.0,
    smooth: bool = False,
) -> _FloatMap:
    """Places a map on its image.

    Each pixel gets the bilinear interpolation of the map at the pixel's centre; within half a cell of the box's edge
    the outermost cell's value is held. Box edges need not fall on pixel edges.

    Args:
        values: a map ``[h, w]``, finite.
        box: the region of the image that it covers: left, top, right, bottom, in pixels.
        height: rows of the image.
        width: columns of the image.
        outside: value of pixels whose centres lie outside the box.
        smooth: interpolate cubically (Catmull-Rom), for pictures: bilinear ridges and stars are gone, cell centres keep
            their values, and values may overshoot the map's range a little between them.

    Returns:
        float32 ``[height, width]``.

    Raises:
        ValueError: the map is not two-dimensional or empty, or the box has no area.
    """
    values = np.asarray(values, dtype=np.float32)
    left, top, right, bottom = box
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"values: expected a map [h, w] with at least one cell, got shape {values.shape}")
    if not (right > left and bottom > top):
        raise ValueError(f"box: expected left < right and top < bottom, got {tuple(box)}")
    kernel = _CUBIC if smooth else _LINEAR
    rows, columns = _covered(top, bottom, height), _covered(left, right, width)
    stretched = _interpolate(values.T, left, right, columns, kernel)
    placed = np.full((height, width), outside, dtype=np.float32)
    placed[rows, columns] = _interpolate(np.ascontiguousarray(stretched.T), top, bottom, rows, kernel)
    return placed


def colorize(unit: npt.NDArray[np.floating], colormap: str) -> _Picture:
    """Colours a map.

    Args:
        unit: a map ``[height, width]`` in [0, 1]; values beyond are clipped.
        colormap: one of `COLORMAPS`.

    Returns:
        uint8 ``[height, width, 3]``, RGB.

    Raises:
        ValueError: there is no such colormap.
    """
    if colormap not in COLORMAPS:
        raise ValueError(f"colormap: {colormap!r} is not one of {', '.join(COLORMAPS)}")
    levels = np.rint(np.clip(unit, 0.0, 1.0) * 255).astype(np.uint8)
    colors: _Picture = COLORMAPS[colormap].take(levels, axis=0)
    return colors


def overlay(
    image: _Picture, unit: npt.NDArray[np.floating], colormap: str, opacity: float = DEFAULT_OPACITY
) -> _Picture:
    """Lays a coloured map over an image.

    Args:
        image: uint8 ``[height, width, 3]``, RGB.
        unit: a map ``[height, width]`` in [0, 1].
        colormap: one of `COLORMAPS`.
        opacity: share of the map's colour, 0 to 1.

    Returns:
        uint8 ``[height, width, 3]``, RGB.

    Raises:
        ValueError: the sizes differ, the opacity is out of range, or there is no such colormap.
    """
    if image.shape != (*unit.shape, 3):
        raise ValueError(f"unit: expected shape {image.shape[:2]} as the image, got {unit.shape}")
    if not 0.0 <= opacity <= 1.0:
        raise ValueError(f"opacity: expected 0 to 1, got {opacity}")
    blend = Image.blend(Image.fromarray(image), Image.fromarray(colorize(unit, colormap)), opacity)
    return np.array(blend)


def default_colormap(values: npt.NDArray[np.floating]) -> str:
    """The colormap for a map: a diverging one if it has negative values."""
    return "coolwarm" if values.min() < 0 else "turbo"


def overlay_picture(
    image: _Picture,
    values: npt.NDArray[np.floating],
    box: tuple[float, float, float, float],
    colormap: str = "",
    opacity: float = DEFAULT_OPACITY,
) -> _Picture:
    """Draws the finished overlay of a map on its image.

    Outside the box, where the model sees nothing, the image stays as it is.

    Args:
        image: uint8 ``[height, width, 3]``, RGB.
        values: a raw map ``[h, w]``.
        box: the region of the image that it covers.
        colormap: one of `COLORMAPS`; empty: `default_colormap`.
        opacity: share of the map's colour, 0 to 1.

    Returns:
        uint8 ``[height, width, 3]``, RGB.

    Raises:
        ValueError: as `place`, `colorize` and `overlay`.
    """
    height, width = image.shape[:2]
    colormap = colormap or default_colormap(values)
    unit = place(normalize(values, symmetric=colormap in DIVERGING), box, height, width, smooth=True)
    inside = (_covered(box[1], box[3], height), _covered(box[0], box[2], width))
    picture = image.copy()
    picture[inside] = overlay(image[inside], unit[inside], colormap, opacity)
    return picture


def color_picture(
    values: npt.NDArray[np.floating],
    box: tuple[float, float, float, float],
    height: int,
    width: int,
    colormap: str = "",
) -> _Picture:
    """Draws a map alone, in colour, in the frame of its image; outside the box it has the colour of zero evidence.

    Args:
        values: a raw map ``[h, w]``.
        box: the region of the image that it covers.
        height: rows of the image.
        width: columns of the image.
        colormap: one of `COLORMAPS`; empty: `default_colormap`.

    Returns:
        uint8 ``[height, width, 3]``, RGB.

    Raises:
        ValueError: as `place` and `colorize`.
    """
    colormap = colormap or default_colormap(values)
    symmetric = colormap in DIVERGING
    outside = 0.5 if symmetric else 0.0
    unit = place(normalize(values, symmetric=symmetric), box, height, width, outside=outside, smooth=True)
    return colorize(unit, colormap)


def encode_png(picture: _Picture) -> bytes:
    """Encodes uint8 ``[height, width]`` or ``[height, width, 3]`` as a PNG."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def _covered(low: float, high: float, length: int) -> slice:
    """The pixels of an axis whose centres lie in [low, high)."""
    start, stop = (min(max(int(np.ceil(edge - 0.5)), 0), length) for edge in (low, high))
    return slice(start, stop)


def _interpolate(values: _FloatMap, low: float, high: float, pixels: slice, kernel: _Kernel) -> _FloatMap:
    """Interpolates the first axis of cells, which covers [low, high), at the centres of pixels.

    Sums a few weighted copies: a product with a matrix of weights would wake BLAS's threads, which on a busy machine
    costs a hundred times more.
    """
    cells = len(values)
    centres = np.arange(pixels.start, pixels.stop) + 0.5
    positions = np.clip((centres - low) * cells / (high - low) - 0.5, 0, cells - 1)
    before = np.floor(positions).astype(int)
    result = np.zeros((len(centres), values.shape[1]), dtype=np.float32)
    for offset in kernel.offsets:
        weights = kernel.weight(np.abs(positions - (before + offset))).astype(np.float32)
        result += weights[:, None] * values[np.clip(before + offset, 0, cells - 1)]
    return result


def _linear(distance: _Floats) -> _Floats:
    return np.maximum(0.0, 1.0 - distance)


def _cubic(distance: _Floats) -> _Floats:
    """Catmull-Rom: R. Keys, "Cubic convolution interpolation" (1981), with a = -1/2."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


_LINEAR = _Kernel(_linear, (0, 1))
_CUBIC = _Kernel(_cubic, (-1, 0, 1, 2))
