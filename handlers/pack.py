"""Answering a pack: each item gets its result or its own error, and no item's fault touches another."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch
from google.protobuf.message import DecodeError

from camserve.errors import CamserveError, InternalError
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire

log = logging.getLogger(__name__)


class Job(Protocol):
    """An item that was read and checked; jobs of one group can share a run of the model."""

    @property
    def group(self) -> Hashable:
        """What jobs must have in common to run together."""
        ...


JobT = TypeVar("JobT", bound=Job)


class Servable(ABC, Generic[JobT]):
    """A model of one task, loaded from its folder."""

    @abstractmethod
    def __init__(self, folder: Path, device: torch.device) -> None: ...

    @abstractmethod
    def describe(self) -> pb.Model:
        """What there is to know of the model, without what only the gateway knows."""

    @abstractmethod
    def read(self, item: wire.Item) -> JobT:
        """Reads one item; raises CamserveError if it is at fault."""

    @abstractmethod
    def run(self, group: Hashable, jobs: Sequence[JobT]) -> list[wire.ItemResult]:
        """Answers jobs of one group with one run of the model; may raise if any of them is at fault."""


def answer(servable: Servable[JobT], data: bytes) -> bytes:
    """Answers a serialized ``Pack`` with a serialized ``PackResult``; never raises for what callers sent."""
    try:
        pack = wire.Pack.FromString(data)
    except DecodeError as error:
        fault = InternalError(f"the worker could not read its pack: {error}", "PACK_UNREADABLE")
        return wire.PackResult(error=fault.to_status()).SerializeToString()
    if pack.WhichOneof("work") == "describe":
        return wire.PackResult(model=servable.describe()).SerializeToString()
    results = wire.ItemResults(results=_answer_items(servable, pack.items.items))
    return wire.PackResult(items=results).SerializeToString()


def _answer_items(servable: Servable[JobT], items: Iterable[wire.Item]) -> list[wire.ItemResult]:
    results: dict[int, wire.ItemResult] = {}
    groups: dict[Hashable, dict[int, JobT]] = {}
    for place, item in enumerate(items):
        try:
            job = servable.read(item)
        except Exception as error:
            results[place] = _failure(error)
        else:
            groups.setdefault(job.group, {})[place] = job
    for group, jobs in groups.items():
        results.update(zip(jobs, _run(servable, group, list(jobs.values())), strict=True))
    return [results[place] for place in sorted(results)]


def _run(servable: Servable[JobT], group: Hashable, jobs: list[JobT]) -> list[wire.ItemResult]:
    try:
        return servable.run(group, jobs)
    except Exception as error:
        if len(jobs) == 1:
            return [_failure(error)]
    # Somebody in the group is at fault, or it was too much at once: each alone.
    return [result for job in jobs for result in _run(servable, group, [job])]


def _failure(error: Exception) -> wire.ItemResult:
    if not isinstance(error, CamserveError):
        log.error("an item failed", exc_info=error)
        error = InternalError(f"the worker failed on this request ({type(error).__name__})", "WORKER_FAILED")
    return wire.ItemResult(error=error.to_status())
