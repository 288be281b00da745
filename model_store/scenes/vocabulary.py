"""The closed vocabulary of the scenes world: every word a picture, a caption, a question or an answer can use."""

from types import MappingProxyType
from typing import Final

SHAPES: Final = (
    "circle",
    "square",
    "triangle",
    "star",
    "cross",
    "ring",
    "heart",
    "crescent",
    "arrow",
    "hourglass",
)
"""The object classes, in the order of the classifier's labels."""

PLURALS: Final = MappingProxyType(
    {shape: shape + "es" if shape in ("cross", "hourglass") else shape + "s" for shape in SHAPES}
)
"""Shape -> its plural, for counting questions."""

COLOURS: Final = MappingProxyType(
    {
        "red": (0.82, 0.10, 0.12),
        "orange": (0.95, 0.50, 0.08),
        "yellow": (0.96, 0.85, 0.16),
        "green": (0.13, 0.60, 0.22),
        "cyan": (0.15, 0.78, 0.82),
        "blue": (0.14, 0.28, 0.82),
        "purple": (0.48, 0.16, 0.66),
        "pink": (0.97, 0.52, 0.72),
        "white": (0.94, 0.94, 0.93),
        "black": (0.08, 0.08, 0.09),
    }
)
"""Colour name -> its central RGB, each in [0, 1]; objects jitter around it."""

TEXTURES: Final = ("plain", "striped", "dotted", "checked", "speckled", "shaded")
"""Surface of an object; a texture varies lightness only, so that the colour name stays true."""

SIZES: Final = MappingProxyType({"small": (0.12, 0.20), "medium": (0.25, 0.36), "large": (0.43, 0.60)})
"""Size name -> range of an object's extent, as a share of the picture's short side.

The ranges leave gaps, so that a size name is never a matter of taste.
"""

RELATIONS: Final = MappingProxyType({"left of": "right of", "right of": "left of", "above": "below", "below": "above"})
"""Spatial relation -> its opposite."""

NUMBERS: Final = ("zero", "one", "two", "three", "four")
"""Answers to counting questions; the index is the count."""

ANSWERS: Final = ("yes", "no", *NUMBERS, *COLOURS, *SHAPES)
"""Every answer there is."""

CAPTION_WORDS: Final = tuple(
    sorted({"a", "and", "with", "left", "right", "of", "above", "below", *SIZES, *COLOURS, *SHAPES})
)
"""Every word of a caption."""

QUESTION_WORDS: Final = tuple(
    sorted(
        {"what", "colour", "shape", "is", "the", "object", "there", "a", "an", "how", "many", "are"}
        | {"left", "right", "of", "above", "below", *COLOURS, *SHAPES, *PLURALS.values()}
    )
)
"""Every word of a question."""
