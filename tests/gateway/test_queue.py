import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace

import grpc
import pytest

from camserve.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    ResourceExhaustedError,
    UnavailableError,
)
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2
from gateway.metrics import Metrics
from gateway.queue import Answer, PackQueue
from gateway.settings import MIB, GatewaySettings
from gateway.upstream import TorchServe
from tests.gateway.client import picture, until
from tests.gateway.torchserve import REF, FakeTorchServe, answer, item_error

SETTINGS = GatewaySettings(
    queue_items=8, pack_items=4, pack_bytes=3 * MIB, queue_bytes=8 * MIB, pack_cost=100, queue_cost=300
)


class Queue:
    """A queue over a real channel, and the waits of its callers."""

    def __init__(self, torchserve: FakeTorchServe) -> None:
        self.metrics = Metrics()
        self.upstream = TorchServe(torchserve.addresses, run_timeout=30)
        self.doubts = 0
        self.queue = PackQueue(
            partial(self.upstream.run, REF), SETTINGS, self.metrics.queue("shapes"), doubt=self.count_doubt
        )
        self.queue.set_workers(1)

    def count_doubt(self) -> None:
        self.doubts += 1

    def submit(self, name: str, *, seconds: float = 30.0, extra: int = 0, cost: int = 1) -> asyncio.Task[Answer]:
        request = pb.PredictRequest(image=picture() + bytes(extra), question=name[:1], request_id=name)
        item = worker_pb2.Item(predict=request, traceparent=f"trace of {name}")
        return asyncio.create_task(self.queue.submit(item, time.monotonic() + seconds, cost=cost))

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, {"model": "shapes", **labels})

    async def depth(self, waiting: int) -> None:
        """Waits until so many requests wait."""
        await until(lambda: self.sample("camserve_queue_depth") == waiting)


@pytest.fixture
async def queue(torchserve: FakeTorchServe) -> AsyncIterator[Queue]:
    made = Queue(torchserve)
    yield made
    torchserve.open.set()
    await made.upstream.settle(5)
    await made.upstream.close()


def names(torchserve: FakeTorchServe) -> list[list[str]]:
    """The requests of each pack that reached TorchServe."""
    return [[item.predict.request_id for item in pack] for pack in torchserve.packs]


async def test_a_lone_request_goes_at_once(torchserve: FakeTorchServe, queue: Queue) -> None:
    result = await queue.submit("a")
    assert result.pack_size == 1
    assert result.result.WhichOneof("result") == "predict"
    assert names(torchserve) == [["a"]]


async def test_what_waits_for_a_busy_worker_goes_as_one_pack(torchserve: FakeTorchServe, queue: Queue) -> None:
    torchserve.open.clear()
    calls = [queue.submit("a")]
    await torchserve.arrived(1)
    calls += [queue.submit(name) for name in "bcd"]
    await queue.depth(3)
    torchserve.open.set()
    results = await asyncio.gather(*calls)
    assert names(torchserve) == [["a"], ["b", "c", "d"]]
    assert [result.pack_size for result in results] == [1, 3, 3, 3]


async def test_a_pack_is_bounded_by_count(torchserve: FakeTorchServe, queue: Queue) -> None:
    torchserve.open.clear()
    calls = [queue.submit("a")]
    await torchserve.arrived(1)
    calls += [queue.submit(name) for name in "bcdefg"]
    await queue.depth(6)
    torchserve.open.set()
    await asyncio.gather(*calls)
    assert names(torchserve) == [["a"], ["b", "c", "d", "e"], ["f", "g"]]


async def test_a_pack_is_bounded_by_bytes_and_a_larger_request_goes_alone(
    torchserve: FakeTorchServe, queue: Queue
) -> None:
    torchserve.open.clear()
    calls = [queue.submit("a")]
    await torchserve.arrived(1)
    calls += [queue.submit(name, extra=size * MIB) for name, size in (("b", 1), ("c", 1), ("d", 1), ("e", 4))]
    await queue.depth(4)
    torchserve.open.set()
    await asyncio.gather(*calls)
    assert names(torchserve) == [["a"], ["b", "c"], ["d"], ["e"]]


async def test_there_are_as_many_runs_as_workers(torchserve: FakeTorchServe, queue: Queue) -> None:
    queue.queue.set_workers(2)
    torchserve.open.clear()
    calls = [queue.submit(name) for name in "abc"]
    await torchserve.arrived(2)
    await queue.depth(1)
    assert queue.sample("camserve_in_flight") == 2
    torchserve.open.set()
    await asyncio.gather(*calls)
    assert sorted(names(torchserve)) == [["a"], ["b"], ["c"]]


async def test_each_of_several_workers_takes_its_share(torchserve: FakeTorchServe, queue: Queue) -> None:
    queue.queue.set_workers(2)
    torchserve.open.clear()
    waits = [queue.submit(name) for name in "abcdef"]
    await queue.depth(4)
    torchserve.open.set()
    await asyncio.gather(*waits)
    assert [len(pack) for pack in names(torchserve)] == [1, 1, 3, 1]  # of six each one's share is three


async def test_requests_wait_for_a_worker_to_come_back(torchserve: FakeTorchServe, queue: Queue) -> None:
    queue.queue.set_workers(0)
    call = queue.submit("a")
    await queue.depth(1)
    assert not torchserve.packs
    queue.queue.set_workers(1)
    await call


async def test_the_error_of_an_item_is_its_own(torchserve: FakeTorchServe, queue: Queue) -> None:
    torchserve.answer = lambda item: (item_error if item.predict.request_id == "b" else answer)(item)
    queue.queue.set_workers(0)
    calls = [queue.submit(name) for name in "abc"]
    await queue.depth(3)
    queue.queue.set_workers(1)
    results = await asyncio.gather(*calls)
    assert [result.result.WhichOneof("result") for result in results] == ["predict", "error", "predict"]


async def test_a_caller_that_goes_away_leaves_the_queue(torchserve: FakeTorchServe, queue: Queue) -> None:
    torchserve.open.clear()
    first = queue.submit("a")
    await torchserve.arrived(1)
    gone, stays = queue.submit("b"), queue.submit("c")
    await queue.depth(2)
    gone.cancel()
    await queue.depth(1)
    torchserve.open.set()
    await asyncio.gather(first, stays)
    assert names(torchserve) == [["a"], ["c"]]
    assert queue.sample("camserve_dropped_total", reason="abandoned") == 1


async def test_a_caller_that_goes_away_during_its_run_does_not_cancel_it(
    torchserve: FakeTorchServe, queue: Queue
) -> None:
    torchserve.open.clear()
    gone = queue.submit("a")
    await torchserve.arrived(1)
    gone.cancel()
    stays = queue.submit("b")
    await queue.depth(1)  # the worker is still busy
    torchserve.open.set()
    await stays
    assert torchserve.cancelled == 0


async def test_an_expired_request_never_reaches_a_worker(torchserve: FakeTorchServe, queue: Queue) -> None:
    torchserve.open.clear()
    first = queue.submit("a")
    await torchserve.arrived(1)
    late = queue.submit("b", seconds=0.02)
    with pytest.raises(DeadlineExceededError):
        await late
    torchserve.open.set()
    await asyncio.gather(first, queue.submit("c"))
    assert names(torchserve) == [["a"], ["c"]]
    with pytest.raises(DeadlineExceededError):
        await queue.submit("d", seconds=0)


async def test_an_entry_whose_deadline_passed_unnoticed_is_dropped(torchserve: FakeTorchServe, queue: Queue) -> None:
    queue.queue.set_workers(0)
    late = queue.submit("a", seconds=0.02)
    await queue.depth(1)
    time.sleep(0.03)  # noqa: ASYNC251 - holds the event loop, so that no timer can go off
    queue.queue.set_workers(1)
    with pytest.raises(DeadlineExceededError):
        await late
    await queue.submit("b")
    assert names(torchserve) == [["b"]]
    assert queue.sample("camserve_dropped_total", reason="expired") == 1
    assert queue.sample("camserve_dropped_total", reason="abandoned") == 0


async def test_a_deadline_that_packs_ahead_will_use_up_is_refused(torchserve: FakeTorchServe, queue: Queue) -> None:
    queue.queue.set_workers(0)
    calls = [queue.submit(name) for name in "abcd"]  # a whole pack
    await queue.depth(4)
    queue.queue._typical_run = 1000.0
    with pytest.raises(DeadlineExceededError) as caught:
        await queue.submit("e", seconds=999)
    assert caught.value.reason == "DEADLINE_UNREACHABLE"
    queue.queue.set_workers(1)
    await asyncio.gather(*calls)
    assert names(torchserve) == [["a", "b", "c", "d"]]


async def test_a_queue_full_by_count_refuses(torchserve: FakeTorchServe, queue: Queue) -> None:
    queue.queue.set_workers(0)
    calls = [queue.submit(str(n)) for n in range(8)]
    await queue.depth(8)
    with pytest.raises(ResourceExhaustedError) as caught:
        await queue.submit("x")
    assert (caught.value.reason, caught.value.retry_after) == ("QUEUE_FULL", 1.0)
    queue.queue.set_workers(1)
    await asyncio.gather(*calls)


async def test_a_queue_full_by_cost_refuses(torchserve: FakeTorchServe, queue: Queue) -> None:
    queue.queue.set_workers(0)
    calls = [queue.submit(name, cost=140) for name in "ab"]
    await queue.depth(2)
    with pytest.raises(ResourceExhaustedError):
        await queue.submit("c", cost=140)
    calls.append(queue.submit("d", cost=20))
    await queue.depth(3)
    queue.queue.set_workers(1)
    await asyncio.gather(*calls)
    await queue.submit("e", cost=10_000)  # what is more than a whole queue waits in an empty one


async def test_a_pack_is_bounded_by_cost_and_what_is_dearer_goes_alone(
    torchserve: FakeTorchServe, queue: Queue
) -> None:
    queue.queue.set_workers(0)
    calls = [queue.submit(name, cost=cost) for name, cost in (("a", 60), ("b", 40), ("c", 1), ("d", 150))]
    await queue.depth(4)
    queue.queue.set_workers(1)
    await asyncio.gather(*calls)
    assert names(torchserve) == [["a", "b"], ["c"], ["d"]]


async def test_a_queue_full_by_bytes_refuses(queue: Queue) -> None:
    queue.queue.set_workers(0)
    calls = [queue.submit(str(n), extra=3 * MIB) for n in range(2)]
    await queue.depth(2)
    with pytest.raises(ResourceExhaustedError):
        await queue.submit("x", extra=3 * MIB)
    queue.queue.set_workers(1)
    await asyncio.gather(*calls)
    await queue.submit("y", extra=7 * MIB)  # the bytes are free again


DIED = (grpc.StatusCode.INTERNAL, "Worker died.")


async def test_a_pack_that_kills_a_worker_runs_once_more_one_by_one(torchserve: FakeTorchServe, queue: Queue) -> None:
    queue.queue.set_workers(0)
    calls = [queue.submit(name) for name in "abc"]
    await queue.depth(3)
    torchserve.failures.append(DIED)
    queue.queue.set_workers(1)
    results = await asyncio.gather(*calls)
    assert names(torchserve) == [["a", "b", "c"], ["a"], ["b"], ["c"]]
    assert [result.pack_size for result in results] == [1, 1, 1]


async def test_only_the_request_that_kills_workers_fails_and_is_refused_from_then_on(
    torchserve: FakeTorchServe, queue: Queue
) -> None:
    queue.queue.set_workers(0)
    calls = [queue.submit(name) for name in "abc"]
    await queue.depth(3)
    torchserve.failures.extend((DIED, DIED))  # the pack, then a alone
    queue.queue.set_workers(1)
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[0], InternalError)
    assert results[0].reason == "WORKER_CRASHED"
    assert isinstance(results[1], Answer)
    assert isinstance(results[2], Answer)
    assert queue.sample("camserve_lost_runs_total") == 2
    assert queue.doubts == 2
    with pytest.raises(FailedPreconditionError) as caught:
        await queue.submit("a under another id and in another trace")
    assert caught.value.reason == "REQUEST_QUARANTINED"
    await queue.submit("b")
    assert sum(name.startswith("a") for pack in names(torchserve) for name in pack) == 2


async def test_a_quarantine_ends(torchserve: FakeTorchServe, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    torchserve.failures.extend((DIED, DIED))
    with pytest.raises(InternalError):
        await queue.submit("a")
    now = time.monotonic()
    monkeypatch.setattr("gateway.quarantine.time", SimpleNamespace(monotonic=lambda: now + SETTINGS.quarantine + 1))
    await queue.submit("a")


AWAY = (grpc.StatusCode.UNAVAILABLE, "failed to connect")


async def test_what_nothing_could_run_waits_at_the_head_and_runs_once_workers_are_back(
    torchserve: FakeTorchServe, queue: Queue
) -> None:
    torchserve.failures.append(AWAY)
    torchserve.open.clear()
    calls = [queue.submit("a")]
    await torchserve.arrived(1)
    calls.append(queue.submit("b"))
    await queue.depth(1)
    torchserve.open.set()
    await queue.depth(2)
    assert queue.doubts == 1
    queue.queue.set_workers(1)
    await asyncio.gather(*calls)
    assert names(torchserve) == [["a"], ["a", "b"]]
    assert queue.sample("camserve_queue_wait_seconds_count") == 2  # each request once, however often it waits


async def test_what_nothing_could_run_twice_fails(torchserve: FakeTorchServe, queue: Queue) -> None:
    torchserve.failures.extend((AWAY, AWAY))
    call = queue.submit("a")
    await until(lambda: queue.doubts == 1)
    await queue.depth(1)
    queue.queue.set_workers(1)
    with pytest.raises(UnavailableError) as caught:
        await call
    assert caught.value.retry_after is not None
    assert queue.sample("camserve_queue_depth") == 0


async def test_a_reply_of_the_wrong_length_fails_its_pack(torchserve: FakeTorchServe, queue: Queue) -> None:
    torchserve.reply = worker_pb2.PackResult(items=worker_pb2.ItemResults())
    with pytest.raises(InternalError, match="0 of 1"):
        await queue.submit("a")


async def test_gauges_return_to_zero(torchserve: FakeTorchServe, queue: Queue) -> None:
    torchserve.failures.append(DIED)
    await asyncio.gather(*(queue.submit(name) for name in "abcdef"))
    await until(lambda: queue.sample("camserve_in_flight") == 0)
    assert queue.sample("camserve_queue_depth") == 0
    assert queue.sample("camserve_pack_size_sum") == 6
