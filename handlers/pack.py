"""Answering a pack: each item gets its result or its own error, and no item's fault touches another."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, time_ns
from typing import Generic, Protocol, TypeVar

from google.protobuf.message import DecodeError

from camserve.errors import CamserveError, InternalError
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from handlers.progress import Reporter
from handlers.tracing import Spans
from model_store.cores import cores

log = logging.getLogger(__name__)

_NO_SPANS = Spans(None)
_readers = ThreadPoolExecutor(cores(), "read")


class Job(Protocol):
    """An item that was read and checked; jobs of one group can share a run of the model."""

    @property
    def group(self) -> Hashable:
        """What jobs must have in common to run together."""
        ...


JobT = TypeVar("JobT", bound=Job)


class Servable(ABC, Generic[JobT]):
    """A model of one task."""

    @abstractmethod
    def describe(self) -> pb.Model:
        """What there is to know of the model, without what only the gateway knows."""

    @abstractmethod
    def read(self, item: wire.Item, arrival: float) -> JobT:
        """Reads one item, which arrived then by ``time.monotonic``; raises CamserveError if it is at fault."""

    @abstractmethod
    def run(self, jobs: Sequence[JobT], reporter: Reporter | None = None) -> list[wire.ItemResult]:
        """Answers jobs of one group with one run of the model; may raise if any of them is at fault.

        Args:
            jobs: the jobs.
            reporter: is told of progress; there is one job then.
        """


def answer(servable: Servable[JobT], data: bytes, send: Callable[[bytes], None], spans: Spans = _NO_SPANS) -> bytes:
    """Answers a serialized ``Pack`` with a serialized ``PackResult``; never raises for what callers sent.

    Args:
        servable: the model.
        data: the pack.
        send: sends a ``PackResult`` that goes before, with the progress of work that is watched.
        spans: records what was done.
    """
    start = time_ns()
    try:
        pack = wire.Pack.FromString(data)
    except DecodeError as error:
        fault = InternalError(f"the worker could not read its pack: {error}", "PACK_UNREADABLE")
        return wire.PackResult(error=fault.to_status()).SerializeToString()
    if pack.WhichOneof("work") == "describe":
        return wire.PackResult(model=servable.describe()).SerializeToString()
    if pack.WhichOneof("work") == "watched":
        items: Sequence[wire.Item] = [pack.watched.item]
        results = _answer_watched(servable, pack.watched, send)
    else:
        items = pack.items.items
        results = _answer_items(servable, items)
    spans.record(items, results, start)
    return wire.PackResult(items=wire.ItemResults(results=results)).SerializeToString()


def _answer_watched(
    servable: Servable[JobT], watched: wire.Watched, send: Callable[[bytes], None]
) -> list[wire.ItemResult]:
    reporter = Reporter(
        lambda progress: send(wire.PackResult(progress=progress).SerializeToString()),
        watched.map_every,
        watched.abandoned,
    )
    results = _answer_items(servable, [watched.item], reporter)
    reporter.flush()
    return results


def _answer_items(
    servable: Servable[JobT], items: Iterable[wire.Item], reporter: Reporter | None = None
) -> list[wire.ItemResult]:
    arrival = monotonic()
    results: dict[int, wire.ItemResult] = {}
    groups: dict[Hashable, dict[int, JobT]] = {}
    for place, job in enumerate(_read(servable, list(items), arrival)):
        if isinstance(job, Exception):
            results[place] = _failure(job)
        else:
            groups.setdefault(job.group, {})[place] = job
    for jobs in groups.values():
        results.update(zip(jobs, _run(servable, list(jobs.values()), reporter), strict=True))
    return [results[place] for place in sorted(results)]


def _read(servable: Servable[JobT], items: Sequence[wire.Item], arrival: float) -> Iterable[JobT | Exception]:
    """The jobs, or what is wrong with their items, on all cores: pictures are decoded outside of Python's lock."""

    def read(item: wire.Item) -> JobT | Exception:
        try:
            return servable.read(item, arrival)
        except Exception as error:
            return error

    return _readers.map(read, items) if len(items) > 1 else map(read, items)


def _run(servable: Servable[JobT], jobs: list[JobT], reporter: Reporter | None = None) -> list[wire.ItemResult]:
    try:
        return servable.run(jobs, reporter)
    except Exception as error:
        if len(jobs) == 1:
            return [_failure(error)]
    # Somebody in the group is at fault, or it was too much at once: each alone.
    return [result for job in jobs for result in _run(servable, [job])]


def _failure(error: Exception) -> wire.ItemResult:
    if not isinstance(error, CamserveError):
        log.error("an item failed", exc_info=error)
        error = InternalError(f"the worker failed on this request ({type(error).__name__})", "WORKER_FAILED")
    return wire.ItemResult(error=error.to_status())
