"""How much is thrown at the service."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Sizes of the acts.

    Attributes:
        seconds: of each load.
        storm: calls of a storm.
        kills: of workers, one after another.
        hangs: whether workers are made to hang too, which takes as long as their timeout.
        messages: that are fuzzed.
        soak: requests of the soak.
    """

    seconds: float
    storm: int
    kills: int
    hangs: bool
    messages: int
    soak: int


WHOLE = Scale(seconds=10, storm=500, kills=5, hangs=True, messages=10_000, soak=5000)
SHORT = Scale(seconds=1.5, storm=60, kills=1, hangs=False, messages=300, soak=300)
