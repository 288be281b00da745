"""ExplainProgress through the gateway."""

import asyncio
from pathlib import Path
from typing import Any

import grpc

from camserve.v1 import explanation_pb2 as pb
from gateway.watch import Watch
from tests.gateway.client import Gateway, picture, refused, until
from tests.gateway.torchserve import FakeTorchServe, item_error

EVENTS = [pb.Progress(step=step, steps=3, objectives=[float(step)]) for step in range(3)]


def request(**options: object) -> pb.ExplainProgressRequest:
    explain = pb.ExplainRequest(model="shapes", image=picture(), method="opti-cam", request_id="abc")
    return pb.ExplainProgressRequest(request=explain, **options)  # type: ignore[arg-type]


async def events(call: Any) -> list[pb.ExplainProgressResponse]:
    return [event async for event in call]


async def test_progress_comes_as_the_worker_tells_it_and_then_the_response(
    gateway: Gateway, torchserve: FakeTorchServe
) -> None:
    torchserve.progress = EVENTS
    torchserve.open.clear()
    call = gateway.stub.ExplainProgress(request(map_every=5))
    for event in EVENTS:
        assert (await call.read()).progress == event  # while the run is under way
    torchserve.open.set()
    response = (await call.read()).response
    assert (response.model, response.request_id, response.timing.pack_size) == ("shapes", "abc", 1)
    assert response.explanations[0].heatmap.height == 2
    assert await call.read() is grpc.aio.EOF
    [watched] = torchserve.watched
    assert watched.map_every == 5
    assert watched.item.explain.request_id == "abc"


async def test_a_method_without_steps_gives_the_response_alone(gateway: Gateway) -> None:
    [event] = await events(gateway.stub.ExplainProgress(request()))
    assert event.WhichOneof("event") == "response"


async def test_it_is_admitted_like_explain(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    wrong = request()
    wrong.request.method = "opticam"
    error = await refused(events(gateway.stub.ExplainProgress(wrong)))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "METHOD_UNKNOWN")
    error = await refused(events(gateway.stub.ExplainProgress(pb.ExplainProgressRequest())))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MODEL_REQUIRED")
    assert not torchserve.packs


async def test_a_workers_error_ends_it(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.progress = EVENTS
    torchserve.answer = item_error
    error = await refused(events(gateway.stub.ExplainProgress(request())))
    assert error.reason == "WORKER_FAILED"


async def test_a_reply_that_ends_without_a_result(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.reply = b"\xff\xff"
    error = await refused(events(gateway.stub.ExplainProgress(request())))
    assert error.reason == "UPSTREAM_UNREADABLE"


async def test_it_takes_a_worker_to_itself(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.open.clear()
    explain = pb.ExplainRequest(model="shapes", image=picture())
    first = asyncio.ensure_future(gateway.stub.Explain(explain))
    await torchserve.arrived(1)
    calls: list[Any] = [first]
    for watched in (False, True, False, False):
        call = events(gateway.stub.ExplainProgress(request())) if watched else gateway.stub.Explain(explain)
        calls.append(asyncio.ensure_future(call))
        await waiting(gateway, len(calls) - 1)
    torchserve.open.set()
    await asyncio.gather(*calls)
    assert [len(pack) for pack in torchserve.packs] == [1, 1, 1, 2]
    assert torchserve.packs[2][0].explain.request_id == "abc"


async def waiting(gateway: Gateway, count: int) -> None:
    while (await gateway.metrics())['camserve_queue_depth{model="shapes"}'] != count:
        pass


async def test_a_caller_that_goes_away_leaves_a_sign_and_the_run_alone(
    gateway: Gateway, torchserve: FakeTorchServe
) -> None:
    torchserve.progress = EVENTS
    torchserve.open.clear()
    call = gateway.stub.ExplainProgress(request())
    await call.read()
    there = Path(torchserve.watched[0].abandoned).exists
    assert not there()
    call.cancel()
    await until(there)
    torchserve.open.set()
    await gateway.stub.Explain(request().request)
    assert torchserve.cancelled == 0
    assert not there()


async def test_a_deadline_that_passes_leaves_a_sign(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.open.clear()
    call = gateway.stub.ExplainProgress(request(), timeout=2)
    await torchserve.arrived(1)
    assert 0 < torchserve.watched[0].item.time_left.ToNanoseconds() / 1e9 < 2 * 0.95
    await until(Path(torchserve.watched[0].abandoned).exists)
    assert await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    torchserve.open.set()


async def test_the_run_begins_again_when_its_worker_died(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.failures.append((grpc.StatusCode.INTERNAL, "Worker died."))
    [event] = await events(gateway.stub.ExplainProgress(request()))
    assert event.response.explanations
    assert len(torchserve.watched) == 2


async def test_a_caller_that_does_not_read_costs_no_more_than_a_few_events(tmp_path: Path) -> None:
    watch = Watch(tmp_path, 0)
    for step in range(1000):
        watch.tell(pb.Progress(step=step))
    end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    end.set_result(None)
    steps = [event.step async for event in watch.until(end)]
    assert len(steps) < 10
    assert steps[-1] == 999
