"""What a caller may use."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from camserve.errors import ResourceExhaustedError
from gateway.upstream import RETRY_AFTER


@dataclass(frozen=True)
class CallerLimits:
    """Bounds on one caller.

    Attributes:
        cost_per_second: cost that it may use in the long run, in forwards of a model, about.
        burst: cost that it may use at once after a rest.
        in_hand: requests of it that may be in hand at a time.
    """

    cost_per_second: float = float("inf")
    burst: float = float("inf")
    in_hand: int = 2**31


class Allowance:
    """What one caller may use now.

    The cost of a request is taken off when it begins, and must be there then. One that costs more than a burst needs a
    whole one, and the rest is paid for afterwards.
    """

    def __init__(self, name: str, limits: CallerLimits) -> None:
        """Takes the caller's name and its limits; it may use a whole burst at first."""
        self.name = name
        self.limits = limits
        self._level = limits.burst
        self._since = time.monotonic()
        self._in_hand = 0

    def change(self, limits: CallerLimits) -> None:
        """Sets other limits from now on."""
        self._fill()
        self.limits = limits
        self._level = min(self._level, limits.burst)

    @contextmanager
    def use(self, cost: int) -> Iterator[None]:
        """Holds a request as long as it is in hand.

        Raises:
            ResourceExhaustedError: the caller has used up what it may.
        """
        wait = self._wait(cost)
        if wait > 0:
            raise ResourceExhaustedError(
                f"caller {self.name} has used up what it may for now; try again later", "CALLER_RATE", retry_after=wait
            )
        if self._in_hand >= self.limits.in_hand:
            raise ResourceExhaustedError(
                f"caller {self.name} has {self._in_hand} requests in hand, as many as it may; wait for answers",
                "CALLER_IN_HAND",
                retry_after=RETRY_AFTER,
            )
        self._level -= cost
        self._in_hand += 1
        try:
            yield
        finally:
            self._in_hand -= 1

    async def room(self, cost: int) -> None:
        """Waits until `use` takes a request of such cost."""
        while (wait := self._wait(cost)) > 0 or self._in_hand >= self.limits.in_hand:  # noqa: ASYNC110 - time sets no event
            await asyncio.sleep(max(wait, _LOOK))

    def _wait(self, cost: int) -> float:
        """Seconds until so much may be used."""
        self._fill()
        missing = min(cost, self.limits.burst) - self._level
        return 0.0 if missing <= 0 else max(missing / self.limits.cost_per_second, _LOOK)

    def _fill(self) -> None:
        now = time.monotonic()
        if self._level < self.limits.burst:
            self._level = min(self.limits.burst, self._level + (now - self._since) * self.limits.cost_per_second)
        self._since = now


_LOOK = 0.02  # seconds between looks of one that waits

ANYONE = Allowance("anyone", CallerLimits())
"""Of callers whom nobody asks who they are."""

CALLER: ContextVar[Allowance] = ContextVar("caller", default=ANYONE)
"""Whose call is being answered."""
