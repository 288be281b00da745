"""Timing calls in turn, so that all of them meet the same machine."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Call = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """The middle of some figures, and how far they spread.

    Attributes:
        low: the first quartile.
        median: the median.
        high: the third quartile.
    """

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(low, median, high)


@dataclass(frozen=True)
class Times:
    """What a call took, round by round.

    Attributes:
        seconds: of each round.
    """

    seconds: tuple[float, ...]

    @property
    def milliseconds(self) -> Spread:
        """The spread of the rounds."""
        return Spread.of([1000 * value for value in self.seconds])

    def over(self, other: "Times") -> Spread:
        """How many times as long as another call, which ran in the same rounds: the ratio within each round."""
        return Spread.of([own / its for own, its in zip(self.seconds, other.seconds, strict=True)])

    def less(self, *others: "Times") -> "Times":
        """How much longer than others together, which ran in the same rounds: the difference within each round."""
        rounds = zip(self.seconds, *(other.seconds for other in others), strict=True)
        return Times(tuple(own - sum(rest) for own, *rest in rounds))


def turns(names: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """The number of the round, and who is next; each round begins with another one."""
    for turn in range(rounds):
        first = turn % len(names)
        for name in [*names[first:], *names[:first]]:
            yield turn, name


def in_turn(calls: Mapping[str, Call], rounds: int, warm_up: int = 2) -> dict[str, Times]:
    """Times calls round by round; each round begins with another one of them.

    Args:
        calls: by name.
        rounds: that count.
        warm_up: rounds before, which do not.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn, name in turns(list(calls), warm_up + rounds):
        start = time.perf_counter()
        calls[name]()
        if turn >= warm_up:
            taken[name].append(time.perf_counter() - start)
    return {name: Times(tuple(values)) for name, values in taken.items()}
