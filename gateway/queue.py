"""The queue of one model, which packs what waits as soon as a worker is free."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from camserve.errors import DeadlineExceededError, InternalError, ResourceExhaustedError, UnavailableError
from camserve.worker.v1 import worker_pb2
from gateway.entry import Answer, Entry, deadline_exceeded
from gateway.metrics import QueueMetrics
from gateway.quarantine import Quarantine
from gateway.settings import GatewaySettings
from gateway.status import public
from gateway.upstream import RETRY_AFTER, Told, WorkerDiedError
from gateway.watch import Watch

__all__ = ["Answer", "PackQueue", "Run"]

log = logging.getLogger(__name__)

Run = Callable[[worker_pb2.Pack, Told | None], Awaitable[worker_pb2.PackResult]]
"""Has a worker answer a pack."""

_NEWS = 0.2  # weight of the last run in the typical one


class PackQueue:
    """Requests to one model, in the order of their arrival.

    There are as many runs at a time as the model has ready workers. A request that finds one free goes at once, alone;
    those that wait go together, up to the bounds of a pack, when a run ends; one that is watched goes alone. Of several
    workers each takes its share of all that waits or runs, so that none is given all and the others crumbs. An entry
    whose caller went away, or whose deadline passed, never reaches a worker.

    What can be tried again is, once: requests that a worker died of go one by one, and one that a second worker dies of
    is refused from then on; requests that nothing could run wait, at the head, until workers are ready again.
    """

    def __init__(
        self, run: Run, settings: GatewaySettings, metrics: QueueMetrics, doubt: Callable[[], None] = lambda: None
    ) -> None:
        """Takes what it works with.

        Args:
            run: has a worker answer a pack.
            settings: its bounds.
            metrics: where it accounts.
            doubt: is told when it turns out that the count of ready workers may be wrong; somebody should look.
        """
        self._run = run
        self._settings = settings
        self._metrics = metrics
        self._doubt = doubt
        self._quarantine = Quarantine(settings.quarantine)
        self._waiting: deque[Entry] = deque()
        self._bytes = 0
        self._cost = 0
        self._workers = 0
        self._typical_run = 0.0
        self._runs: dict[asyncio.Task[None], int] = {}  # and how many entries each is of
        self._freed = asyncio.Event()

    def set_workers(self, count: int) -> None:
        """Sets how many runs may be under way at a time."""
        self._workers = count
        self._dispatch()

    async def room(self, size: int, cost: int) -> None:
        """Waits until an item of such size and cost that can wait elsewhere leaves room for those that cannot.

        Such items fill half of the queue at most.
        """
        while self._full(size, cost, share=2):
            self._freed.clear()
            await self._freed.wait()

    async def submit(self, item: worker_pb2.Item, deadline: float, watch: Watch | None = None, cost: int = 1) -> Answer:
        """Waits for the answer to an item.

        Args:
            item: the request.
            deadline: when it is no longer wanted, on the clock of ``time.monotonic``.
            watch: is told of progress.
            cost: of answering it, in forwards of the model, about.

        Raises:
            ResourceExhaustedError: the queue is full.
            FailedPreconditionError: the request is in quarantine.
            DeadlineExceededError: the deadline passed, or will pass before what waits ahead is done.
            CamserveError: the run failed. An item's own error is in the answer.
        """
        entry = Entry(item, deadline, cost, watch)
        self._enqueue(entry)
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await entry.answer
        except TimeoutError:
            raise deadline_exceeded() from None
        finally:
            entry.answer.cancel()
            if entry in self._waiting:
                self._waiting.remove(entry)
                self._left(entry)
                self._dropped(entry)
            elif watch is not None and entry.answer.cancelled():
                watch.abandon()

    def _enqueue(self, entry: Entry) -> None:
        self._quarantine.check(entry.item)
        if self._full(entry.size, entry.cost):
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
        self._joined(entry)
        self._dispatch()

    def _full(self, size: int, cost: int, share: int = 1) -> bool:
        """Whether one more would break a bound, of which a share of 1 / ``share`` counts; an empty queue takes any."""
        bounds = self._settings
        return bool(self._waiting) and (
            len(self._waiting) >= bounds.queue_items // share
            or self._bytes + size > bounds.queue_bytes // share
            or self._cost + cost > bounds.queue_cost // share
        )

    def _expected_wait(self) -> float:
        """Seconds in which the full packs ahead of a newcomer will have run, judged by recent runs."""
        bounds = self._settings
        packs_ahead = max(len(self._waiting) // bounds.pack_items, self._cost // bounds.pack_cost)
        return packs_ahead * self._typical_run / max(self._workers, 1)

    def _joined(self, entry: Entry) -> None:
        self._bytes += entry.size
        self._cost += entry.cost
        self._metrics.depth.inc()

    def _left(self, entry: Entry) -> None:
        self._bytes -= entry.size
        self._cost -= entry.cost
        self._metrics.depth.dec()
        if not entry.returned:  # each request once
            self._metrics.wait.observe(time.monotonic() - entry.since)
        self._freed.set()

    def _dropped(self, entry: Entry) -> None:
        expired = time.monotonic() >= entry.deadline
        (self._metrics.expired if expired else self._metrics.abandoned).inc()

    def _dispatch(self) -> None:
        while len(self._runs) < self._workers and (pack := self._take()):
            run = asyncio.create_task(self._serve(pack))
            self._runs[run] = len(pack)
            self._metrics.in_flight.inc()
            run.add_done_callback(self._ended)

    def _take(self) -> list[Entry]:
        bounds = self._settings
        share = math.ceil((len(self._waiting) + sum(self._runs.values())) / self._workers)
        pack: list[Entry] = []
        size = cost = 0
        while self._waiting and len(pack) < min(share, bounds.pack_items):
            entry = self._waiting[0]
            too_much = size + entry.size > bounds.pack_bytes or cost + entry.cost > bounds.pack_cost
            if pack and (entry.watch or pack[0].watch or too_much):
                break
            self._waiting.popleft()
            self._left(entry)
            if entry.wanted():
                pack.append(entry)
                size += entry.size
                cost += entry.cost
            else:
                self._dropped(entry)
        return pack

    def _ended(self, run: asyncio.Task[None]) -> None:
        del self._runs[run]
        self._metrics.in_flight.dec()
        self._dispatch()

    async def _serve(self, pack: Sequence[Entry]) -> None:
        try:
            await self._answer(pack)
        except WorkerDiedError as error:
            self._metrics.lost_runs.inc()
            self._doubt()
            for entry in pack:
                await self._again_alone(entry, error)
        except UnavailableError as error:
            self._put_back(pack, error)
        except Exception as error:
            _fail(pack, error)
        finally:
            for entry in pack:
                if entry.watch is not None and entry.answer.done():
                    entry.watch.close()

    async def _again_alone(self, entry: Entry, error: WorkerDiedError) -> None:
        """Runs an entry once more, so that the one which killed the worker takes no other with it."""
        entry.deaths += 1
        if entry.deaths > 1:
            log.error("a second worker died of the same request; it is refused from now on")
            self._quarantine.add(entry.item)
            entry.fail(error)
        elif entry.wanted():
            await self._serve([entry])

    def _put_back(self, pack: Sequence[Entry], error: UnavailableError) -> None:
        """Has entries that nothing could run wait once more, until workers are known to be ready."""
        self._workers = 0
        self._doubt()
        for entry in reversed(pack):
            if entry.returned or not entry.wanted():
                entry.fail(error)
            else:
                entry.returned = True
                self._waiting.appendleft(entry)
                self._joined(entry)

    async def _answer(self, pack: Sequence[Entry]) -> None:
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


def _fail(pack: Sequence[Entry], error: Exception) -> None:
    known = public(error, "a run")
    for entry in pack:
        entry.fail(known)
