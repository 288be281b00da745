"""One request, as a task reads it."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import frexp
from typing import Generic, TypeVar

from handlers.preprocessing import Picture
from handlers.rows import Explaining

TOP = 5
"""Predictions returned unless a request says otherwise."""

AskedT = TypeVar("AskedT")
"""What a task makes of one target of a request."""


@dataclass(frozen=True)
class Job(Generic[AskedT]):
    """One request, read.

    Attributes:
        picture: its image.
        decode_seconds: what reading it took.
        how: how to explain; None if only the prediction is wanted.
        asked: what to explain, or to predict for.
        counter: whether to show what speaks against it.
        top: predictions wanted.
        arrival: when it came, on the clock of ``time.monotonic``.
        left: seconds from then until its answer is wanted.
    """

    picture: Picture
    decode_seconds: float
    how: Explaining | None
    asked: Sequence[AskedT]
    counter: bool = False
    top: int = TOP
    arrival: float = 0.0
    left: float = float("inf")

    @property
    def group(self) -> Hashable:
        """Jobs that explain alike run together, and so do those that predict.

        What has to end in time ends for all at once. So that one in a hurry does not take others along, what is left to
        them is of the same power of two.
        """
        return self.how, frexp(self.left)[1] if self.how is not None and self.how.bounded else None
