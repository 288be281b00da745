"""Things in a picture that are no object: lines, scribbles, splashes, slivers, bent strokes and corners.

They share the objects' colours, textures and scale, so neither of these tells an object from a distractor.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from model_store.scenes.canvas import Rgb, Window
from model_store.scenes.shapes import Array
from model_store.scenes.textures import pattern
from model_store.scenes.vocabulary import COLOURS, TEXTURES

_KINDS = ("line", "scribble", "splash", "arc", "sliver", "corner")


def paint_distractors(window: Window, rng: np.random.Generator) -> None:
    """Paint two to six distractors.

    Args:
        window: A whole canvas.
        rng: How much is drawn from it does not depend on the resolution.
    """
    for _ in range(rng.integers(2, 7)):
        _paint_distractor(window, _KINDS[rng.integers(len(_KINDS))], rng)


def _paint_distractor(window: Window, kind: str, rng: np.random.Generator) -> None:
    x, y = rng.uniform(-0.55, 0.55, 2).tolist()
    reach = float(rng.uniform(0.08, 0.3))
    colour = np.array(list(COLOURS.values())[rng.integers(len(COLOURS))]) * rng.uniform(0.5, 1.05)
    texture = TEXTURES[rng.integers(len(TEXTURES))]
    opacity = np.float32(rng.uniform(0.45, 1.0))
    part = window.around(x, y, reach * 1.1)
    field = _field(kind, (part.x - x) / reach, (part.y - y) / reach, rng) * reach
    mix = pattern(texture, part.x, part.y, float(rng.uniform(0.04, 0.1)), rng)
    base: Rgb = tuple(np.clip(colour, 0, 1).tolist())
    part.paint(base, part.coverage(field, 0.008) * opacity * (1 - mix * np.float32(0.6)))


def _field(kind: str, x: Array, y: Array, rng: np.random.Generator) -> Array:
    """Signed field of a distractor of reach 1 around the origin."""
    angle = float(rng.uniform(0, 2 * math.pi))
    cos, sin = math.cos(angle), math.sin(angle)
    u, v = x * cos + y * sin, y * cos - x * sin
    field: Array
    match kind:
        case "line":
            field = _stroke(u, v, [(-0.95, 0.0), (0.95, 0.0)], float(rng.uniform(0.02, 0.06)))
        case "scribble":
            corners = rng.uniform(-0.7, 0.7, (5, 2)).tolist()
            field = _stroke(x, y, corners, float(rng.uniform(0.04, 0.1)))
        case "splash":
            # Three harmonics in random phase: without symmetry, or it would pass for a cross or an hourglass.
            turn, phase = np.arctan2(v, u), float(rng.uniform(0, 2 * math.pi))
            edge = 0.52 + 0.2 * np.sin(2 * turn) + 0.16 * np.sin(3 * turn + phase) + 0.1 * np.sin(5 * turn - phase)
            field = (np.sqrt(u * u + v * v) - edge) * 0.6
        case "arc":
            bow = np.abs(np.sqrt((u + 0.6) ** 2 + v * v) - 1.2) - float(rng.uniform(0.03, 0.07))
            field = np.maximum(bow, np.abs(v) - 0.7)
        case "sliver":
            field = np.maximum(np.abs(u) - 0.9, np.abs(v + u * 0.08) - float(rng.uniform(0.08, 0.14)))
        case "corner":
            field = _stroke(u, v, [(0.6, 0.4), (-0.4, 0.4), (-0.4, -0.6)], 0.12)
        case _:
            raise ValueError(f"unknown kind {kind!r}")
    return field


def _stroke(x: Array, y: Array, corners: Sequence[tuple[float, float]], half_width: float) -> Array:
    """Signed field of a polyline with round ends."""
    nearest = np.full(np.broadcast_shapes(x.shape, y.shape), np.inf, np.float32)
    for (x0, y0), (x1, y1) in pairwise(corners):
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy + 1e-9), 0, 1)
        np.minimum(nearest, (x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2, out=nearest)
    field: Array = np.sqrt(nearest) - half_width
    return field
