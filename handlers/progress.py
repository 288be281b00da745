"""Passing on how far a watched request is."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from torch import Tensor

from camserve.v1 import explanation_pb2 as pb
from handlers.messages import heatmap

INTERVAL = 0.05
"""Seconds between two events at least."""


@dataclass(frozen=True, eq=False)
class Stand:
    """Where a method stands with a request.

    Attributes:
        step: steps done.
        steps: steps in all.
        objectives: the best value so far for each target; none if the method has no objective.
        maps: makes the maps so far, ``[h, w]`` float32 on the CPU, one for each target.
    """

    step: int
    steps: int
    objectives: Sequence[float]
    maps: Callable[[], Sequence[Tensor]]


class Reporter:
    """Tells a caller how far its request is, a few times a second, and looks whether the caller is still there."""

    def __init__(self, send: Callable[[pb.Progress], None], map_every: int, abandoned: str) -> None:
        """Takes what the gateway asked for.

        Args:
            send: sends an event.
            map_every: steps after which an event has maps again; 0: none has.
            abandoned: path of a file that comes into being when the caller has gone; empty: none will.
        """
        self._send = send
        self._map_every = map_every
        self._abandoned = abandoned
        self._next_map = 0
        self._next_time = 0.0
        self._held: pb.Progress | None = None

    def report(self, stand: Stand, box: pb.Box) -> bool:
        """Tells of a step, unless one has just been told of; returns whether the caller has gone.

        Args:
            stand: after the step.
            box: the region of the image that the maps cover.
        """
        event = pb.Progress(step=stand.step, steps=stand.steps, objectives=stand.objectives)
        now = monotonic()
        if now < self._next_time:
            self._held = event
        else:
            if self._map_every and stand.step >= self._next_map:
                event.heatmaps.extend(heatmap(values, box) for values in stand.maps())
                self._next_map = stand.step + self._map_every
            self._send(event)
            self._held, self._next_time = None, now + INTERVAL
        return os.path.exists(self._abandoned)  # noqa: PTH110 - pathlib's raises where it may not look

    def flush(self) -> None:
        """Tells of the last step, if that has been held back."""
        if self._held is not None:
            self._send(self._held)
