import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from camserve.errors import CamserveError, InternalError, UnavailableError
from camserve.worker.v1 import worker_pb2
from gateway.upstream import TorchServe, TorchServeAddresses, WorkerDiedError
from tests.gateway.torchserve import MODEL, REF, FakeTorchServe

DESCRIBE = worker_pb2.Pack(describe=worker_pb2.Describe())
ITEMS = worker_pb2.Pack(items=worker_pb2.Items())


@pytest.fixture
async def upstream(torchserve: FakeTorchServe) -> AsyncIterator[TorchServe]:
    client = TorchServe(torchserve.addresses, run_timeout=10)
    yield client
    torchserve.open.set()
    await client.settle(5)
    await client.close()


CODE = grpc.StatusCode


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (
            (CODE.INTERNAL, 'Model "x" has no worker to serve inference request.'),
            UnavailableError,
            "WORKER_UNAVAILABLE",
        ),
        ((CODE.INTERNAL, "Model not found: x"), UnavailableError, "MODEL_NOT_LOADED"),
        ((CODE.NOT_FOUND, "Model version: 2 does not exist for model: x"), UnavailableError, "MODEL_NOT_LOADED"),
        ((CODE.UNAVAILABLE, "Prediction failed"), InternalError, "WORKER_FAILED"),
        ((CODE.UNAVAILABLE, "number of batch response mismatched"), InternalError, "WORKER_FAILED"),
        ((CODE.INTERNAL, "Out of resources"), InternalError, "WORKER_OUT_OF_MEMORY"),
        ((CODE.INTERNAL, "Worker died."), WorkerDiedError, "WORKER_CRASHED"),
        ((CODE.RESOURCE_EXHAUSTED, "Worker died."), WorkerDiedError, "WORKER_CRASHED"),
        ((CODE.UNAVAILABLE, "failed to connect to all addresses"), UnavailableError, "UPSTREAM_UNAVAILABLE"),
        ((CODE.CANCELLED, "Channel closed."), UnavailableError, "UPSTREAM_UNAVAILABLE"),
        ((CODE.PERMISSION_DENIED, "Token Authorization failed."), InternalError, "UPSTREAM_FAILED"),
        ((CODE.DEADLINE_EXCEEDED, "Deadline Exceeded"), InternalError, "UPSTREAM_FAILED"),
    ],
)
async def test_statuses_of_torchserve(
    torchserve: FakeTorchServe,
    upstream: TorchServe,
    status: tuple[grpc.StatusCode, str],
    kind: type[CamserveError],
    reason: str,
) -> None:
    torchserve.failures.append(status)
    with pytest.raises(kind) as caught:
        await upstream.run(REF, ITEMS)
    assert type(caught.value) is kind
    assert caught.value.reason == reason
    assert (caught.value.retry_after is not None) == (kind is UnavailableError)
    assert status[1] not in caught.value.message


async def test_a_torchserve_that_is_not_there() -> None:
    upstream = TorchServe(TorchServeAddresses("127.0.0.1:1", "127.0.0.1:1"), run_timeout=10)
    with pytest.raises(UnavailableError):
        await upstream.run(REF, ITEMS)
    with pytest.raises(UnavailableError):
        await upstream.workers(REF)
    await upstream.close()


async def test_workers_are_counted(torchserve: FakeTorchServe, upstream: TorchServe) -> None:
    for count in (0, 1, 3):
        torchserve.workers = count
        workers = await upstream.workers(REF)
        assert (workers.ready, workers.wanted) == (count, max(count, 1))
    assert dict(workers.processes) == {"9000": 100, "9001": 101, "9002": 102}


async def test_the_model_describes_itself(upstream: TorchServe) -> None:
    assert (await upstream.run(REF, DESCRIBE)).model == MODEL


async def test_a_run_that_nobody_waits_for_is_not_cancelled(torchserve: FakeTorchServe, upstream: TorchServe) -> None:
    torchserve.open.clear()
    run = asyncio.create_task(upstream.run(REF, ITEMS))
    await torchserve.arrived(1)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    torchserve.open.set()
    await upstream.settle(5)
    assert torchserve.cancelled == 0


async def test_a_pack_that_the_worker_cannot_read(torchserve: FakeTorchServe, upstream: TorchServe) -> None:
    torchserve.reply = worker_pb2.PackResult(error=InternalError("unreadable", "PACK_UNREADABLE").to_status())
    with pytest.raises(InternalError, match="unreadable"):
        await upstream.run(REF, ITEMS)


async def test_a_reply_that_cannot_be_read(torchserve: FakeTorchServe, upstream: TorchServe) -> None:
    torchserve.reply = b"\xff\xff"
    with pytest.raises(InternalError) as caught:
        await upstream.run(REF, ITEMS)
    assert caught.value.reason == "UPSTREAM_UNREADABLE"
