"""Where pictures come from, one at a time, in sets over which figures spread."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol

from evaluation.pictures.picture import Picture


class Truth(StrEnum):
    """What may be known of pictures."""

    LABELS = "labels"
    BOXES = "boxes"
    MASKS = "masks"


class PictureError(Exception):
    """One picture cannot be used; the others can.

    Attributes:
        name: of the picture.
        reason: why, and what to do.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class SourceError(ValueError):
    """There are no pictures to be had here at all; the message says why and what to do."""


class Source(Protocol):
    """Sets of pictures."""

    @property
    def title(self) -> str:
        """What they are, to go into a sentence."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides which pictures they are; plain JSON values."""

    @property
    def truths(self) -> frozenset[Truth]:
        """What is known of them, or of some of them."""

    def counts(self) -> list[int]:
        """How many pictures each set has."""

    def read(self, number: int, index: int) -> Picture:
        """A picture of a set.

        Raises:
            PictureError: it cannot be read, or lacks its label.
        """
