"""What a unit may look for in a scene, and where it is."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model_store.scenes.drawing import masks
from model_store.scenes.scene import Scene, SceneObject
from model_store.scenes.vocabulary import COLOURS, SHAPES, SIZES, TEXTURES

_SIDE = 1 / 6  # in short sides from the middle: left is the left third


@dataclass(frozen=True)
class Concept:
    """A property of objects.

    Attributes:
        name: unique among all.
        category: of the concept.
        holds: whether an object has it.
    """

    name: str
    category: str
    holds: Callable[[SceneObject], bool]


def _has(attribute: str, value: str, item: SceneObject) -> bool:
    return bool(getattr(item, attribute) == value)


def _all_of(category: str, names: tuple[str, ...]) -> list[Concept]:
    return [Concept(name, category, partial(_has, category, name)) for name in names]


CONCEPTS: Final = (
    # A unit that any object excites would else be named after whatever most objects have.
    Concept("object", "object", lambda _item: True),
    *_all_of("colour", tuple(COLOURS)),
    *_all_of("shape", SHAPES),
    *_all_of("texture", TEXTURES),
    *_all_of("size", tuple(SIZES)),
    Concept("left", "place", lambda item: item.x < -_SIDE),
    Concept("right", "place", lambda item: item.x > _SIDE),
    Concept("top", "place", lambda item: item.y < -_SIDE),
    Concept("bottom", "place", lambda item: item.y > _SIDE),
)
"""All that units are compared with. Places are thirds of the picture in which objects have their centre."""

CATEGORIES: Final = tuple(dict.fromkeys(concept.category for concept in CONCEPTS))
"""The categories of concepts, in their order."""


def concept_masks(scene: Scene, height: int, width: int) -> NDArray[np.bool_]:
    """Where the concepts are: the visible parts of the objects that have them, bool ``[concepts, height, width]``."""
    visible = masks(scene, width, height)
    return np.stack([visible[[concept.holds(item) for item in scene.objects]].any(0) for concept in CONCEPTS])
