"""What is in a picture: objects, where they are, and how scenes are sampled from a seed.

Lengths are in units of the picture's short side and positions are relative to its centre, x to the right and y down,
so a scene says nothing about pixels and can be drawn at any resolution.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_store.scenes.shapes import FIELDS, REACH, Array
from model_store.scenes.vocabulary import COLOURS, SHAPES, SIZES, TEXTURES

MIN_VISIBLE = 0.7
"""Every object shows at least this share of its area."""

MAX_OBJECTS = 4
"""Most objects in one scene."""

_MAX_TILT = {"heart": 0.6}  # radians either way; the other shapes turn freely
_LAYOUT_STREAM = 0  # other streams of a scene's seed are used where it is drawn


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object of a scene.

    Attributes:
        shape: One of `SHAPES`; the object's class.
        colour: One of `COLOURS`.
        texture: One of `TEXTURES`.
        extent: Side of the square that the unrotated outline fits, in short sides; within one range of `SIZES`.
        x: Centre, in short sides to the right of the picture's centre.
        y: Centre, in short sides below the picture's centre.
        rotation: Clockwise turn in radians.
        rgb: The actual colour, near the named one; each channel in [0, 1].
    """

    shape: str
    colour: str
    texture: str
    extent: float
    x: float
    y: float
    rotation: float
    rgb: tuple[float, float, float]

    @property
    def size(self) -> str:
        """Name of the size, one of `SIZES`."""
        return next(name for name, (_, high) in SIZES.items() if self.extent <= high)

    def local(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Turn picture coordinates (short sides from the centre) into the shape's own, in units of the extent."""
        cos, sin = math.cos(self.rotation) / self.extent, math.sin(self.rotation) / self.extent
        x, y = x - self.x, y - self.y
        return x * cos + y * sin, y * cos - x * sin

    def field(self, x: Array, y: Array) -> Array:
        """Signed field of the placed outline at picture coordinates, in short sides; negative inside."""
        field: Array = FIELDS[self.shape](*self.local(x, y)) * self.extent
        return field


@dataclass(frozen=True, slots=True)
class Scene:
    """Objects from back to front, and the seed of everything else that is drawn (background, light, grain).

    Attributes:
        seed: Non-negative.
        objects: Back to front; the index of an object is its z-order. No two share both colour and shape.
    """

    seed: int
    objects: tuple[SceneObject, ...]

    @property
    def shapes(self) -> tuple[str, ...]:
        """The classes that are present, in the order of `SHAPES`."""
        present = {item.shape for item in self.objects}
        return tuple(shape for shape in SHAPES if shape in present)


def one_class_scene(seed: int, shape: str | None = None) -> Scene:
    """Sample a scene with one or two objects of one class.

    Args:
        seed: Non-negative; the same seed gives the same scene.
        shape: The class; None draws it from the seed.

    Raises:
        ValueError: If the shape is unknown.
    """
    rng = _layout_rng(seed)
    drawn = SHAPES[rng.integers(len(SHAPES))]
    count = 2 if rng.random() < 0.3 else 1
    return _sample(seed, rng, [shape or drawn] * count)


def two_class_scene(seed: int, shapes: tuple[str, str] | None = None) -> Scene:
    """Sample a scene with exactly two classes: two objects, or three of which two share their class.

    Args:
        seed: Non-negative; the same seed gives the same scene.
        shapes: The two classes; None draws them from the seed.

    Raises:
        ValueError: If a shape is unknown or the two are the same.
    """
    rng = _layout_rng(seed)
    drawn = [SHAPES[index] for index in rng.choice(len(SHAPES), 2, replace=False)]
    pair = list(shapes) if shapes else drawn
    if len(set(pair)) != len(pair):
        raise ValueError(f"two different shapes are needed, got {pair}")
    extra = pair[:1] if rng.random() < 0.2 else []
    return _sample(seed, rng, pair + extra)


def general_scene(seed: int) -> Scene:
    """Sample a scene with one to four objects of any classes.

    Args:
        seed: Non-negative; the same seed gives the same scene.
    """
    rng = _layout_rng(seed)
    count = int(rng.integers(1, MAX_OBJECTS + 1))
    return _sample(seed, rng, [SHAPES[index] for index in rng.integers(len(SHAPES), size=count)])


def crowded_scene(seed: int) -> Scene:
    """Sample a scene with three or four objects, of which at least three share their class: something to count.

    Args:
        seed: Non-negative; the same seed gives the same scene.
    """
    rng = _layout_rng(seed)
    shape, other = (SHAPES[index] for index in rng.choice(len(SHAPES), 2, replace=False))
    extra = [(), (shape,), (other,)][rng.integers(3)]
    return _sample(seed, rng, [shape] * 3 + list(extra))


def visible_shares(objects: Sequence[SceneObject]) -> list[float]:
    """Share of each object's area, in [0, 1], that no object in front of it covers (estimated on a 32 x 32 grid)."""
    ticks = ((np.arange(32, dtype=np.float32) + 0.5) / 32 - 0.5) * 2 * REACH
    shares = []
    for index, item in enumerate(objects):
        in_front = [other for other in objects[index + 1 :] if _touch(item, other)]
        if not in_front:
            shares.append(1.0)
            continue
        x, y = np.meshgrid(item.x + ticks * item.extent, item.y + ticks * item.extent)
        own = item.field(x, y) <= 0
        seen = own.copy()
        for other in in_front:
            seen &= other.field(x, y) > 0
        shares.append(float(seen.sum() / own.sum()))
    return shares


def _layout_rng(seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, _LAYOUT_STREAM])


def _sample(seed: int, rng: np.random.Generator, shapes: Sequence[str]) -> Scene:
    unknown = sorted(set(shapes) - set(SHAPES))
    if unknown:
        raise ValueError(f"unknown shapes {unknown}; there are {list(SHAPES)}")
    while True:
        order = rng.permutation(len(shapes))
        objects = tuple(_sample_object(rng, shapes[index]) for index in order)
        if _acceptable(objects):
            return Scene(seed, objects)


def _sample_object(rng: np.random.Generator, shape: str) -> SceneObject:
    low, high = list(SIZES.values())[rng.integers(len(SIZES))]
    extent = float(rng.uniform(low, high))
    x, y = rng.uniform(-1, 1, 2) * (0.5 - REACH * extent)
    tilt = _MAX_TILT.get(shape, math.pi)
    colour = list(COLOURS)[rng.integers(len(COLOURS))]
    jittered = np.clip(np.array(COLOURS[colour]) * rng.uniform(0.88, 1.1) + rng.normal(0, 0.02, 3), 0, 1)
    return SceneObject(
        shape=shape,
        colour=colour,
        texture=TEXTURES[rng.integers(len(TEXTURES))],
        extent=extent,
        x=float(x),
        y=float(y),
        rotation=float(rng.uniform(-tilt, tilt)),
        rgb=(float(jittered[0]), float(jittered[1]), float(jittered[2])),
    )


def _acceptable(objects: Sequence[SceneObject]) -> bool:
    """Names must be unique, touching objects of different colour, and all of them visible enough."""
    if len({(item.colour, item.shape) for item in objects}) < len(objects):
        return False
    for index, item in enumerate(objects):
        for other in objects[:index]:
            if item.colour == other.colour and _touch(item, other):
                return False
    # The grid estimates the share to within a few per cent; the margin keeps the exact share above the limit.
    return min(visible_shares(objects)) >= MIN_VISIBLE + 0.06


def _touch(first: SceneObject, second: SceneObject) -> bool:
    """Whether the circles around two objects meet."""
    return math.hypot(first.x - second.x, first.y - second.y) < REACH * (first.extent + second.extent)
