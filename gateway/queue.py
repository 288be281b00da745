"""The queue of one model, which packs what waits as soon as a worker is free."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from camserve.errors import CamserveError, DeadlineExceededError, InternalError, ResourceExhaustedError
from camserve.worker.v1 import worker_pb2
from gateway.metrics import QueueMetrics
from gateway.settings import GatewaySettings
from gateway.status import public
from gateway.upstream import RETRY_AFTER, Told, WorkerDiedError
from gateway.watch import Watch

log = logging.getLogger(__name__)

Run = Callable[[worker_pb2.Pack, Told | None], Awaitable[worker_pb2.PackResult]]
"""Has a worker answer a pack."""

_NEWS = 0.2  # weight of the last run in the typical one
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
class _Entry:
    item: worker_pb2.Item
    size: int
    deadline: float
    watch: Watch | None
    since: float = field(default_factory=time.monotonic)
    answer: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def fail(self, error: CamserveError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def wanted(self) -> bool:
        """Whether its caller still waits for it."""
        if time.monotonic() >= self.deadline:
            self.fail(_deadline_exceeded())
        return not self.answer.done()

    def set_time_left(self) -> None:
        """Tells the worker by when its answer is wanted."""
        left = self.deadline - time.monotonic()
        share, most = _MARGIN
        self.item.time_left.FromNanoseconds(round((left - min(share * left, most)) * 1e9))


class PackQueue:
    """Requests to one model, in the order of their arrival.

    There are as many runs at a time as the model has ready workers. A request that finds one free goes at once, alone;
    those that wait go together, up to the bounds of a pack, when a run ends; one that is watched goes alone. An entry
    whose caller went away, or whose deadline passed, never reaches a worker.
    """

    def __init__(self, run: Run, settings: GatewaySettings, metrics: QueueMetrics) -> None:
        self._run = run
        self._settings = settings
        self._metrics = metrics
        self._waiting: deque[_Entry] = deque()
        self._bytes = 0
        self._workers = 0
        self._typical_run = 0.0
        self._runs: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()

    def set_workers(self, count: int) -> None:
        """Sets how many runs may be under way at a time."""
        self._workers = count
        self._dispatch()

    async def room(self, size: int) -> None:
        """Waits until an item of so many bytes that can wait elsewhere leaves room for those that cannot.

        Such items fill half of the queue at most.
        """
        bounds = self._settings
        while self._waiting and (
            len(self._waiting) >= bounds.queue_items // 2 or self._bytes + size > bounds.queue_bytes // 2
        ):
            self._freed.clear()
            await self._freed.wait()

    async def submit(self, item: worker_pb2.Item, deadline: float, watch: Watch | None = None) -> Answer:
        """Waits for the answer to an item.

        Args:
            item: the request.
            deadline: when it is no longer wanted, on the clock of ``time.monotonic``.
            watch: is told of progress.

        Raises:
            ResourceExhaustedError: the queue is full.
            DeadlineExceededError: the deadline passed, or will pass before what waits ahead is done.
            CamserveError: the run failed. An item's own error is in the answer.
        """
        entry = _Entry(item, item.ByteSize(), deadline, watch)
        self._enqueue(entry)
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await entry.answer
        except TimeoutError:
            raise _deadline_exceeded() from None
        finally:
            entry.answer.cancel()
            if entry in self._waiting:
                self._waiting.remove(entry)
                self._left(entry)
            elif watch is not None and entry.answer.cancelled():
                watch.abandon()

    def _enqueue(self, entry: _Entry) -> None:
        bounds = self._settings
        if len(self._waiting) >= bounds.queue_items or self._bytes + entry.size > bounds.queue_bytes:
            raise ResourceExhaustedError(
                f"{len(self._waiting)} requests wait for this model already; try again later",
                "QUEUE_FULL",
                retry_after=RETRY_AFTER,
            )
        if time.monotonic() + self._expected_wait() >= entry.deadline:
            raise DeadlineExceededError(
                "the deadline will have passed when what waits ahead is done; allow more time", "DEADLINE_UNREACHABLE"
            )
        self._waiting.append(entry)
        self._bytes += entry.size
        self._metrics.depth.inc()
        self._dispatch()

    def _expected_wait(self) -> float:
        """Seconds in which the full packs ahead of a newcomer will have run, judged by recent runs."""
        packs_ahead = len(self._waiting) // self._settings.pack_items
        return packs_ahead * self._typical_run / max(self._workers, 1)

    def _left(self, entry: _Entry) -> None:
        self._bytes -= entry.size
        self._metrics.depth.dec()
        self._metrics.wait.observe(time.monotonic() - entry.since)
        self._freed.set()

    def _dispatch(self) -> None:
        while len(self._runs) < self._workers and (pack := self._take()):
            run = asyncio.create_task(self._serve(pack))
            self._runs.add(run)
            self._metrics.in_flight.inc()
            run.add_done_callback(self._ended)

    def _take(self) -> list[_Entry]:
        pack: list[_Entry] = []
        size = 0
        while self._waiting and len(pack) < self._settings.pack_items:
            entry = self._waiting[0]
            if pack and (entry.watch or pack[0].watch or size + entry.size > self._settings.pack_bytes):
                break
            self._waiting.popleft()
            self._left(entry)
            if entry.wanted():
                pack.append(entry)
                size += entry.size
        return pack

    def _ended(self, run: asyncio.Task[None]) -> None:
        self._runs.discard(run)
        self._metrics.in_flight.dec()
        self._dispatch()

    async def _serve(self, pack: Sequence[_Entry]) -> None:
        try:
            await self._answer(pack)
        except WorkerDiedError:
            log.warning("a worker died of a pack of %d; each of it runs once more, alone", len(pack))
            await self._answer_alone(pack)
        except Exception as error:
            _fail(pack, error)
        finally:
            for entry in pack:
                if entry.watch is not None:
                    entry.watch.close()

    async def _answer_alone(self, pack: Sequence[_Entry]) -> None:
        """Gives each entry one more run, so that the one which killed the worker takes no other with it."""
        for entry in pack:
            if entry.wanted():
                try:
                    await self._answer([entry])
                except Exception as error:
                    _fail([entry], error)

    async def _answer(self, pack: Sequence[_Entry]) -> None:
        start = time.monotonic()
        for entry in pack:
            entry.set_time_left()
        watch = pack[0].watch
        if watch is None:
            reply = await self._run(worker_pb2.Pack(items=worker_pb2.Items(items=(e.item for e in pack))), None)
        else:
            reply = await self._run(worker_pb2.Pack(watched=watch.work(pack[0].item)), watch.tell)
        upstream = time.monotonic() - start
        self._typical_run += _NEWS * (upstream - self._typical_run)
        results = reply.items.results
        if len(results) != len(pack):
            raise InternalError(f"the worker answered {len(results)} of {len(pack)} requests", "WORKER_FAILED")
        self._metrics.pack_size.observe(len(pack))
        for entry, result in zip(pack, results, strict=True):
            if not entry.answer.done():
                entry.answer.set_result(Answer(result, start - entry.since, upstream, len(pack)))


def _deadline_exceeded() -> DeadlineExceededError:
    return DeadlineExceededError("the deadline passed before the model had answered", "DEADLINE_EXCEEDED")


def _fail(pack: Sequence[_Entry], error: Exception) -> None:
    known = public(error, "a run")
    for entry in pack:
        entry.fail(known)
