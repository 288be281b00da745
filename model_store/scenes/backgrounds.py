"""What lies behind the objects: a lit, patterned surface with blurred blobs of light."""

import colorsys
import math
from collections.abc import Sequence

import numpy as np

from model_store.scenes.canvas import Rgb, Window, fractal, noise
from model_store.scenes.textures import pattern
from model_store.scenes.vocabulary import COLOURS, TEXTURES

_CONTRAST = 0.38  # least RGB distance between an object and the colours of the surface behind it


def paint_background(window: Window, avoid: Sequence[Rgb], rng: np.random.Generator) -> None:
    """Fill a canvas with a surface that is textured but keeps its distance from the objects' colours.

    Args:
        window: A whole canvas.
        avoid: Colours of the objects.
        rng: How much is drawn from it does not depend on the resolution.
    """
    first, second, third = _palette(avoid, rng)
    clouds = fractal(window, 4, 5, float(rng.uniform(0.5, 0.8)), rng)
    window.planes[:] += np.reshape(first, (3, 1, 1)).astype(np.float32)
    angle, steepness = rng.uniform(0, 2 * math.pi), rng.uniform(0, 1.2)
    ramp = (window.x * math.cos(angle) + window.y * math.sin(angle)) * steepness
    window.paint(second, np.clip(ramp + clouds * rng.uniform(0.15, 0.45) + 0.4, 0, 1).astype(np.float32))
    if rng.random() < 0.7:
        _paint_weave(window, third, rng)
    for _ in range(rng.integers(0, 6)):
        _paint_glow(window, rng)


def light(window: Window, rng: np.random.Generator) -> None:
    """Vignette, uneven light with soft shadows, and a slight cast, over everything drawn so far."""
    falloff = 1 - (window.x**2 + window.y**2) * rng.uniform(0, 0.6)
    shadows = 1 + noise(window, 4, rng) * rng.uniform(0.02, 0.12)
    cast = rng.uniform(0.94, 1.06, (3, 1, 1)).astype(np.float32)
    window.planes[:] *= (falloff * shadows).astype(np.float32)
    window.planes[:] *= cast


def _palette(avoid: Sequence[Rgb], rng: np.random.Generator) -> list[Rgb]:
    """Three related muted colours, of many tries the ones that stand out most from the objects."""
    best: tuple[float, list[Rgb]] = (-1.0, [])
    for hue, spread, saturation, value in rng.random((24, 4)).tolist():
        palette = [
            colorsys.hsv_to_rgb(hue + shift * (spread - 0.5), saturation**2 * 0.6, 0.15 + 0.75 * shade)
            for shift, shade in ((0.0, value), (0.5, value * 0.6 + 0.2), (1.0, (value + 0.35) % 1))
        ]
        distance = min(math.dist(colour, other) for colour in palette[:2] for other in avoid)
        if distance >= _CONTRAST:
            return palette
        best = max(best, (distance, palette))
    return best[1]


def _paint_weave(window: Window, colour: Rgb, rng: np.random.Generator) -> None:
    """A texture over the whole surface, bent by noise so that it looks like cloth, wood or stone."""
    bend = noise(window, 6, rng) * rng.uniform(0, 0.06)
    name = TEXTURES[1 + rng.integers(len(TEXTURES) - 2)]
    mix = pattern(name, window.x + bend, window.y - bend, float(rng.uniform(0.06, 0.3)), rng)
    window.paint(colour, mix * np.float32(rng.uniform(0.15, 0.5)))


def _paint_glow(window: Window, rng: np.random.Generator) -> None:
    """An out-of-focus blob of any colour."""
    x, y = rng.uniform(-0.6, 0.6, 2).tolist()
    radius = float(rng.uniform(0.06, 0.25))
    colour = list(COLOURS.values())[rng.integers(len(COLOURS))]
    opacity = np.float32(rng.uniform(0.1, 0.45))
    part = window.around(x, y, 1.5 * radius)
    squared = ((part.x - x) ** 2 + (part.y - y) ** 2) / radius**2
    part.paint(colour, np.exp(-1.5 * squared**1.5) * opacity)
