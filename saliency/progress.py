"""The steps of an iterative method: how many, for how long, and who watches.

A method loops over :class:`Steps` and reports where it stands. The loop ends when the steps are done, when the next one
would not fit into the budget, or when the watcher asks for it; the method then gives the best map it has.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a method stands.

    Attributes:
        step: steps done.
        steps: steps in all, unless something ends them earlier.
        objectives: ``[B]`` or ``[B, K]`` float32, the best values so far of what the method maximises; None if it
            maximises nothing.
        maps: makes the maps so far, shaped and settled as in an explanation; for the watcher to call before it returns,
            and free if it does not.
    """

    step: int
    steps: int
    objectives: Tensor | None
    maps: Callable[[], Tensor]


Watcher = Callable[[Progress], bool | None]
"""Is told of each step, in the thread that explains. Returns True to end the method with the best map so far; what it
raises goes through to the caller of ``explain``."""


class Steps:
    """Counts the steps done, 0 to ``count``, until they are done, the budget is spent or the watcher has had enough.

    Attributes:
        count: steps wanted.
        exhausted: whether the budget ended them.
    """

    def __init__(self, count: int, budget: float, watcher: Watcher | None) -> None:
        """Starts the clock.

        Args:
            count: steps wanted.
            budget: wall-clock seconds; 0 is no limit.
            watcher: is told of each step.
        """
        self.count, self.exhausted = count, False
        self._watcher, self._enough = watcher, False
        self._end = monotonic() + budget if budget else float("inf")

    def __iter__(self) -> Iterator[int]:
        """The number of steps done, each time one more may be done; 0 comes always, however small the budget."""
        for step in range(self.count + 1):
            started = monotonic()
            yield step
            if self._enough:
                return
            now = monotonic()
            if step < self.count and now + (now - started) > self._end:  # the next will take as long as this one did
                self.exhausted = True
                return

    def report(self, step: int, maps: Callable[[], Tensor], objectives: Tensor | None = None) -> None:
        """Tells the watcher, if there is one.

        Args:
            step: steps done.
            maps: makes the maps so far, ``[B, K, h, w]``.
            objectives: the best values so far, ``[B, K]``.
        """
        if self._watcher is not None:
            self._enough = bool(self._watcher(Progress(step, self.count, objectives, maps)))
