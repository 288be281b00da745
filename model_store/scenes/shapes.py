"""Outlines of the object classes as signed fields.

A field is negative inside the outline, zero on it and positive outside, and grows by about one per unit of length
near the outline, so that the same function gives exact masks (``field <= 0``) and antialiased coverage at any
resolution. The origin is the outline's centre of area, so that turning an object does not move it. The unit is the
object's extent, the longer side of the unrotated outline's box; x points right and y points down.
"""

import math
from collections.abc import Callable
from functools import reduce
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Field = Callable[[Array, Array], Array]


def convex_polygon(*corners: tuple[float, float]) -> Field:
    """Field of a convex polygon; the corners run clockwise as seen on the screen."""
    edges = []
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        length = math.hypot(x1 - x0, y1 - y0)
        normal_x, normal_y = (y1 - y0) / length, (x0 - x1) / length
        edges.append((normal_x, normal_y, normal_x * x0 + normal_y * y0))

    def field(x: Array, y: Array) -> Array:
        return reduce(np.maximum, [x * normal_x + y * normal_y - offset for normal_x, normal_y, offset in edges])

    return field


def disc(x: Array, y: Array, radius: float) -> Array:
    """Field of a disc around the origin."""
    distance: Array = np.sqrt(x * x + y * y) - radius
    return distance


def circle(x: Array, y: Array) -> Array:
    """Disc of diameter 1."""
    return disc(x, y, 0.5)


def square(x: Array, y: Array) -> Array:
    """Square of side 1."""
    return np.maximum(np.abs(x), np.abs(y)) - 0.5


triangle = convex_polygon((0.0, -0.5774), (0.5, 0.2887), (-0.5, 0.2887))


def star(x: Array, y: Array) -> Array:
    """Five-pointed star of width 1 (circumradius 0.5257), one point up."""
    outer, inner, half_sector = 0.5257, 0.235, math.pi / 5
    radius = np.sqrt(x * x + y * y)
    # Folded into half a sector, the outline is one edge, from the tip (angle 0) to the notch (angle pi / 5).
    angle = np.abs((np.arctan2(x, -y) + half_sector) % (2 * half_sector) - half_sector)
    notch_x, notch_y = inner * math.cos(half_sector), inner * math.sin(half_sector)
    length = math.hypot(outer - notch_x, notch_y)
    along, across = radius * np.cos(angle), radius * np.sin(angle)
    field: Array = (along - outer) * (notch_y / length) + across * ((outer - notch_x) / length)
    return field


def cross(x: Array, y: Array) -> Array:
    """Plus sign of extent 1 with bars 0.3 wide."""
    x, y = np.abs(x), np.abs(y)
    return np.maximum(np.minimum(x, y) - 0.15, np.maximum(x, y) - 0.5)


def ring(x: Array, y: Array) -> Array:
    """Annulus of outer diameter 1 and inner diameter 0.56."""
    return np.abs(disc(x, y, 0.39)) - 0.11


_kite = convex_polygon((0.0, 0.45), (-0.4249, 0.0069), (-0.23, -0.18), (0.23, -0.18), (0.4249, 0.0069))


def heart(x: Array, y: Array) -> Array:
    """Two lobes of radius 0.27, and the kite that is tangent to both and ends in the tip."""
    y = y - 0.089  # the centre of area is that far above the middle of the box, where the lobes and the kite have it
    return np.minimum(disc(np.abs(x) - 0.23, y + 0.18, 0.27), _kite(x, y))


def crescent(x: Array, y: Array) -> Array:
    """Disc of diameter 1 less a disc of radius 0.42 shifted by 0.24 to the right."""
    x = x - 0.2105  # from the centre of area to that of the disc
    return np.maximum(disc(x, y, 0.5), -disc(x - 0.24, y, 0.42))


_head = convex_polygon((0.0, -0.5), (0.42, 0.02), (-0.42, 0.02))
_shaft = convex_polygon((-0.14, -0.2), (0.14, -0.2), (0.14, 0.5), (-0.14, 0.5))


def arrow(x: Array, y: Array) -> Array:
    """Arrow of length 1 that points up: a head 0.84 wide on a shaft 0.28 wide."""
    return np.minimum(_head(x, y), _shaft(x, y))


_bulb = convex_polygon((-0.42, -0.5), (0.42, -0.5), (0.03, 0.03), (-0.03, 0.03))


def hourglass(x: Array, y: Array) -> Array:
    """Two triangles, 0.84 wide, that meet in a narrow waist."""
    return np.minimum(_bulb(x, y), _bulb(x, -y))


FIELDS: Final = MappingProxyType[str, Field](
    {
        "circle": circle,
        "square": square,
        "triangle": triangle,
        "star": star,
        "cross": cross,
        "ring": ring,
        "heart": heart,
        "crescent": crescent,
        "arrow": arrow,
        "hourglass": hourglass,
    }
)
"""Shape name -> its signed field."""

REACH: Final = 0.7072
"""No outline reaches further than this from its centre, in units of the extent (the square's corners do)."""
