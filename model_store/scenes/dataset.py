"""Scenes as training material: which seeds belong to which split, soft targets, and drawing on several cores."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_store.scenes.drawing import draw
from model_store.scenes.scene import Scene, crowded_scene, general_scene, one_class_scene, two_class_scene
from model_store.scenes.vocabulary import SHAPES

TRAINING_SEEDS: Final = range(10_000_000)
"""Seeds a model may be trained on."""

HELD_OUT_SEEDS: Final = range(10_000_000, 20_000_000)
"""Seeds a model is measured on; disjoint from the training seeds."""

KINDS: Final = MappingProxyType[str, Callable[[int], Scene]](
    {
        "one-class": one_class_scene,
        "two-class": two_class_scene,
        "general": general_scene,
        "crowded": crowded_scene,
    }
)
"""Kind of scene -> how it is sampled from a seed."""

_CHUNK = 64  # scenes that a worker draws at a time


class Examples(NamedTuple):
    """Pictures and what is in them.

    Attributes:
        images: RGB, uint8 `[n, side, side, 3]`.
        targets: Float32 `[n, classes]`, rows sum to 1: equal shares for the classes that are present.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float32]


def soft_target(scene: Scene) -> NDArray[np.float32]:
    """Equal shares, float32 `[classes]`, for the classes that are present in a scene."""
    present = np.isin(SHAPES, scene.shapes)
    target: NDArray[np.float32] = (present / present.sum()).astype(np.float32)
    return target


def draw_examples(kinds: Sequence[str], seeds: Sequence[int], side: int, workers: int = 1) -> Iterator[Examples]:
    """Draw scenes, in order, in chunks.

    Args:
        kinds: Kinds of scene, one of `KINDS` each; they take turns over the seeds.
        seeds: One scene each.
        side: Width and height in pixels.
        workers: Processes that draw; 1 draws in this one. The result does not depend on it.

    Yields:
        The next scenes' examples.

    Raises:
        KeyError: If a kind is unknown.
    """
    chunks = [
        [(kinds[index % len(kinds)], seeds[index]) for index in range(start, min(start + _CHUNK, len(seeds)))]
        for start in range(0, len(seeds), _CHUNK)
    ]
    draw_chunk = partial(_draw_chunk, side=side)
    if workers == 1:
        yield from map(draw_chunk, chunks)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(draw_chunk, chunks)


def collect(chunks: Iterator[Examples]) -> Examples:
    """Join chunks into one set of examples."""
    images, targets = zip(*chunks, strict=True)
    return Examples(np.concatenate(images), np.concatenate(targets))


def _draw_chunk(chunk: Sequence[tuple[str, int]], side: int) -> Examples:
    scenes = [KINDS[kind](seed) for kind, seed in chunk]
    images = np.stack([draw(scene, side, side) for scene in scenes])
    return Examples(images, np.stack([soft_target(scene) for scene in scenes]))
