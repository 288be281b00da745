"""Scenes to pixels: the picture, and the exact masks and boxes of its objects, at any resolution."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from model_store.scenes.backgrounds import light, paint_background
from model_store.scenes.canvas import Window, blank
from model_store.scenes.distractors import paint_distractors
from model_store.scenes.scene import Scene, SceneObject
from model_store.scenes.shapes import REACH
from model_store.scenes.textures import pattern

_APPEARANCE_STREAM, _GRAIN_STREAM = 1, 2  # of the scene's seed; the layout has stream 0


def draw(scene: Scene, width: int, height: int) -> NDArray[np.uint8]:
    """Draw a scene.

    The same scene is the same picture at every resolution, up to antialiasing and grain. If the picture is not
    square, the scene lies in its central square and the background goes on beyond it.

    Args:
        scene: What to draw.
        width: Pixels, at least 1.
        height: Pixels, at least 1.

    Returns:
        RGB, uint8 `[height, width, 3]`; the same arguments give the same bits.

    Raises:
        ValueError: If a side is not positive.
    """
    canvas = _blank(width, height)
    rng = np.random.default_rng([scene.seed, _APPEARANCE_STREAM])
    paint_background(canvas, [item.rgb for item in scene.objects], rng)
    paint_distractors(canvas, rng)
    towards_light = float(rng.uniform(0, 2 * math.pi))
    shadow = float(rng.uniform(0.15, 0.6))
    for item in scene.objects:
        _paint_shadow(canvas, item, towards_light, shadow)
        _paint_object(canvas, item, towards_light, rng)
    light(canvas, rng)
    blur = max(0.0, float(rng.uniform(-0.004, 0.006)))  # a good part of the pictures is in perfect focus
    return _expose(canvas, blur, grain=float(rng.uniform(0.004, 0.024)), seed=scene.seed)


def masks(scene: Scene, width: int, height: int) -> NDArray[np.bool_]:
    """Visible part of each object: the pixels whose centre lies in it and in no object in front of it.

    Args:
        scene: The scene.
        width: Pixels, at least 1.
        height: Pixels, at least 1.

    Returns:
        Bool `[objects, height, width]`, disjoint, in the order of `scene.objects`.

    Raises:
        ValueError: If a side is not positive.
    """
    canvas = _blank(width, height)
    visible = np.stack([item.field(canvas.x, canvas.y) <= 0 for item in scene.objects])
    for index in range(len(visible) - 1):
        visible[index] &= ~visible[index + 1 :].any(axis=0)
    return visible


def boxes(visible: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Tight boxes around masks.

    Args:
        visible: Bool `[objects, height, width]`.

    Returns:
        Int64 `[objects, 4]`: left, top, right, bottom in pixels, right and bottom exclusive; zeros for an empty mask.
    """
    result = np.zeros((len(visible), 4), np.int64)
    for row, mask in zip(result, visible, strict=True):
        ys, xs = np.nonzero(mask)
        if xs.size:
            row[:] = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    return result


def _blank(width: int, height: int) -> Window:
    if width < 1 or height < 1:
        raise ValueError(f"width and height must be positive, got {width} x {height}")
    return blank(width, height)


def _paint_shadow(canvas: Window, item: SceneObject, towards_light: float, strength: float) -> None:
    throw = 0.015 + 0.06 * item.extent
    dx, dy = -throw * math.cos(towards_light), -throw * math.sin(towards_light)
    part = canvas.around(item.x + dx, item.y + dy, REACH * item.extent + throw)
    field = item.field(part.x - dx, part.y - dy)
    part.paint((0.0, 0.0, 0.0), part.coverage(field, 1.5 * throw) * np.float32(strength))


def _paint_object(canvas: Window, item: SceneObject, towards_light: float, rng: np.random.Generator) -> None:
    part = canvas.around(item.x, item.y, REACH * item.extent + canvas.pixel)
    field = item.field(part.x, part.y)
    x, y = part.x - item.x, part.y - item.y
    period = item.extent if item.texture == "shaded" else float(rng.uniform(0.05, 0.09))
    mix = pattern(item.texture, x, y, period, rng) * np.float32(rng.uniform(0.6, 1.0))
    first = np.reshape(item.rgb, (3, 1, 1)).astype(np.float32)
    # A black object gets lighter marks, the others darker ones: lighter marks would blur red with pink.
    second = first + 0.25 if item.colour == "black" else first * 0.5
    facing = (x * math.cos(towards_light) + y * math.sin(towards_light)) * (0.3 / item.extent)
    rim = np.clip(1 + field * (10 / item.extent), 0, 1) * 0.22
    shade = (1 + facing - rim).astype(np.float32)
    part.paint((first + (second - first) * mix) * shade, part.coverage(field))


def _expose(canvas: Window, blur: float, grain: float, seed: int) -> NDArray[np.uint8]:
    """Lens blur (standard deviation in short sides) and sensor noise (in units of full scale)."""
    pixels = np.clip(canvas.planes * 255 + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    lens = ImageFilter.GaussianBlur(blur / canvas.pixel)
    blurred = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).filter(lens), np.float32)
    rng = np.random.default_rng([seed, _GRAIN_STREAM])
    noise = rng.standard_normal((*pixels.shape[:2], 1), np.float32) * np.float32(grain * 255)
    return np.clip(blurred + np.repeat(noise + np.float32(0.5), 3, axis=2), 0, 255).astype(np.uint8)
