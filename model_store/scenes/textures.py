"""Surface patterns: how far, in [0, 1], each point is from an object's first tone to its second.

Coordinates and periods are in short sides of the picture, so a pattern does not depend on the resolution.
"""

import math

import numpy as np

from model_store.scenes.shapes import Array


def pattern(name: str, x: Array, y: Array, period: float, rng: np.random.Generator) -> Array:
    """Evaluate a texture.

    Args:
        name: One of `TEXTURES`.
        x: Picture coordinates, any shape.
        y: Like `x`.
        period: Length of one repeat; for "shaded", of the whole gradient.
        rng: Gives orientation and phase; how much is drawn depends on the name alone.

    Returns:
        Mix in [0, 1], float32, broadcast from `x` and `y`.

    Raises:
        ValueError: If the name is unknown.
    """
    angle, phase = rng.uniform(0, 2 * math.pi, 2).tolist()
    cos, sin = math.cos(angle) / period, math.sin(angle) / period
    u, v = x * cos + y * sin, y * cos - x * sin
    match name:
        case "plain":
            return np.zeros_like(u)
        case "striped":
            return _edge(np.sin(2 * math.pi * u + phase), 2.5)
        case "dotted":
            u, v = (u + phase) % 1 - 0.5, v % 1 - 0.5
            return _edge(0.09 - u * u - v * v, 12.0)
        case "checked":
            return _edge(np.sin(math.pi * u + phase) * np.sin(math.pi * v), 4.0)
        case "speckled":
            return _edge(_ripples(u, v, rng), 0.8)
        case "shaded":
            return np.clip(u + 0.5, 0, 1)
    raise ValueError(f"unknown texture {name!r}")


def _edge(level: Array, sharpness: float) -> Array:
    mix: Array = np.clip(level * sharpness + 0.5, 0, 1)
    return mix


def _ripples(u: Array, v: Array, rng: np.random.Generator) -> Array:
    """Sum of plane waves in random directions: a blotchy field without a lattice."""
    angles, phases = rng.uniform(0, 2 * math.pi, (2, 5)).tolist()
    lengths = rng.uniform(4.0, 9.0, 5).tolist()
    total = np.zeros_like(u)
    for angle, phase, length in zip(angles, phases, lengths, strict=True):
        total += np.sin(u * (math.cos(angle) * length) + v * (math.sin(angle) * length) + phase)
    return total
