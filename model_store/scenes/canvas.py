"""A picture in the making: colour planes with coordinates, and the few ways in which paint gets onto them."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model_store.scenes.shapes import Array

Rgb = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of the canvas.

    Attributes:
        planes: View of the canvas, float32 `[3, h, w]`, colours in [0, 1].
        x: Column coordinates, float32 `[1, w]`, in short sides from the picture's centre.
        y: Row coordinates, float32 `[h, 1]`, likewise.
        pixel: Side of a pixel, in short sides.
    """

    planes: Array
    x: Array
    y: Array
    pixel: float

    def around(self, x: float, y: float, reach: float) -> Self:
        """The part within `reach` (short sides) of a point; it can be empty."""
        columns = slice(*np.searchsorted(self.x[0], (x - reach, x + reach)))
        rows = slice(*np.searchsorted(self.y[:, 0], (y - reach, y + reach)))
        return type(self)(self.planes[:, rows, columns], self.x[:, columns], self.y[rows], self.pixel)

    def coverage(self, field: Array, softness: float = 0.0) -> Array:
        """Share of each pixel, in [0, 1], that lies inside a signed field (short sides).

        Args:
            field: Negative inside, `[h, w]`.
            softness: Width of the transition in short sides; at least a pixel is used (antialiasing).
        """
        covered: Array = np.clip(0.5 - field * (1 / max(self.pixel, softness)), 0, 1)
        return covered

    def paint(self, colour: Rgb | Array, alpha: Array) -> None:
        """Lay a colour (one, or planes `[3, h, w]`) over the window with opacity `alpha` `[h, w]`."""
        self.planes[:] += (np.asarray(colour, np.float32).reshape(3, *_plane_shape(colour)) - self.planes) * alpha


def _plane_shape(colour: Rgb | Array) -> tuple[int, ...]:
    return colour.shape[1:] if isinstance(colour, np.ndarray) else (1, 1)


def blank(width: int, height: int) -> Window:
    """A black canvas of `width` x `height` pixels."""
    scale = min(width, height)
    x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / scale
    y = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / scale
    return Window(np.zeros((3, height, width), np.float32), x[None], y[:, None], 1 / scale)


def noise(window: Window, cells: int, rng: np.random.Generator) -> Array:
    """Smooth random field: a lattice of normal values under cubic B-splines, repeating every two short sides.

    Args:
        window: A whole canvas.
        cells: Lattice points per two short sides; more is finer.
        rng: Draws `cells` x `cells` values.

    Returns:
        Float32 `[h, w]`, mean about 0 and standard deviation about 1.
    """
    lattice = rng.standard_normal((cells, cells), np.float32)
    rows = _splines(window.y.size, window.pixel, cells)
    columns = _splines(window.x.size, window.pixel, cells)
    field: Array = rows @ lattice @ columns.T
    return field * np.float32(1 / 0.479)  # mean over a cell of the sum of squared spline weights (1-D): 0.479


def fractal(window: Window, coarsest: int, octaves: int, gain: float, rng: np.random.Generator) -> Array:
    """Sum of `noise` fields, each twice as fine and `gain` times as strong as the one before; deviation about 1."""
    weights = [gain**octave for octave in range(octaves)]
    total = np.zeros(window.planes.shape[1:], np.float32)
    for octave, weight in enumerate(weights):
        total += noise(window, coarsest << octave, rng) * weight
    return total / np.float32(math.hypot(*weights))


@lru_cache(maxsize=256)
def _splines(length: int, pixel: float, cells: int) -> NDArray[np.float32]:
    """Weights `[length, cells]` of a periodic uniform cubic B-spline at the pixel centres."""
    position = ((np.arange(length) + 0.5 - length / 2) * pixel / 2) % 1 * cells
    cell = position.astype(int)
    t = position - cell
    weights = np.zeros((length, cells))
    pieces = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for shift, piece in enumerate(pieces):
        np.add.at(weights, (np.arange(length), (cell + shift) % cells), piece / 6)
    return weights.astype(np.float32)
