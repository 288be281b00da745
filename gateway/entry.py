"""A request on its way through a model's queue."""

import asyncio
import time
from dataclasses import dataclass, field

from camserve.errors import CamserveError, DeadlineExceededError
from camserve.worker.v1 import worker_pb2
from gateway.watch import Watch

_MARGIN = (0.1, 0.5)  # kept of what is left to a request for the way back: a share, and at most so many seconds


@dataclass(frozen=True)
class Answer:
    """What a worker made of one item.

    Attributes:
        result: its result or its error.
        queued: seconds that it waited.
        upstream: seconds from handing over its pack to the reply.
        pack_size: items of that pack.
    """

    result: worker_pb2.ItemResult
    queued: float
    upstream: float
    pack_size: int


@dataclass(eq=False)
class Entry:
    """A request that waits or runs.

    Attributes:
        item: the request.
        deadline: when its answer is no longer wanted, on the clock of ``time.monotonic``.
        cost: of answering it, in forwards of the model, about.
        watch: is told of progress.
        size: of the item, in bytes.
        since: when it came.
        deaths: workers that died while they ran it.
        returned: whether it waits again because nothing could run it.
        answer: what its caller waits for.
    """

    item: worker_pb2.Item
    deadline: float
    cost: int
    watch: Watch | None
    size: int = field(init=False)
    since: float = field(default_factory=time.monotonic)
    deaths: int = 0
    returned: bool = False
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def __post_init__(self) -> None:
        self.size = self.item.ByteSize()

    def fail(self, error: CamserveError) -> None:
        """Ends its caller's wait, unless that has ended."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def wanted(self) -> bool:
        """Whether its caller still waits for it."""
        if time.monotonic() >= self.deadline:
            self.fail(deadline_exceeded())
        return not self.answer.done()

    def set_time_left(self) -> None:
        """Tells the worker by when its answer is wanted."""
        left = self.deadline - time.monotonic()
        share, most = _MARGIN
        self.item.time_left.FromNanoseconds(round((left - min(share * left, most)) * 1e9))


def deadline_exceeded() -> DeadlineExceededError:
    """What a caller is told whose deadline passed."""
    return DeadlineExceededError("the deadline passed before the model had answered", "DEADLINE_EXCEEDED")
