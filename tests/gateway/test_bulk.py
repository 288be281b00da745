"""ExplainStream through the gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import grpc
import pytest

from camserve.errors import from_status
from camserve.v1 import explanation_pb2 as pb
from gateway.bulk import BulkStream
from gateway.call_log import CallLog
from gateway.metrics import Metrics
from gateway.tracing import Tracing
from tests.gateway.client import SETTINGS, Gateway, picture, refused, running_gateway
from tests.gateway.torchserve import FakeTorchServe, answer, item_error

PICTURE = picture()
SMALL = replace(SETTINGS, stream_items=4, queue_items=4, pack_items=2)


def item(name: str, model: str = "shapes", method: str = "", image: bytes = PICTURE) -> pb.ExplainStreamRequest:
    request = pb.ExplainRequest(model=model, image=image, method=method, request_id=name)
    return pb.ExplainStreamRequest(id=name, request=request)


async def answers(call: Any) -> dict[str, pb.ExplainStreamResponse]:
    found = [response async for response in call]
    assert len({response.id for response in found}) == len(found)
    return {response.id: response for response in found}


async def test_every_item_gets_its_own_answer(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.answer = lambda work: (item_error if work.explain.request_id == "bad" else answer)(work)
    items = [item("a"), item("bad"), item("lost", model="shape"), item("b", method="opti-cam")]
    found = await answers(gateway.stub.ExplainStream(iter(items)))
    assert {name: response.WhichOneof("result") for name, response in found.items()} == {
        "a": "response",
        "bad": "error",
        "lost": "error",
        "b": "response",
    }
    assert found["a"].response.request_id == "a"
    assert found["a"].response.timing.total.ToNanoseconds() > 0
    error = from_status(found["lost"].error)
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_UNKNOWN")
    assert from_status(found["bad"].error).reason == "WORKER_FAILED"


async def test_an_empty_stream_ends(gateway: Gateway) -> None:
    assert await answers(gateway.stub.ExplainStream(iter([]))) == {}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "ITEM_ID_REQUIRED"),
        ("a" * 129, "ITEM_ID_INVALID"),
        ("a\nb", "ITEM_ID_INVALID"),
        ("é", "ITEM_ID_INVALID"),
        ("first", "ITEM_ID_REPEATED"),
    ],
)
async def test_a_bad_id_is_an_error_of_its_item(gateway: Gateway, name: str, reason: str) -> None:
    bad = item("x")
    bad.id = name
    found = [response async for response in gateway.stub.ExplainStream(iter([item("first"), bad, item("last")]))]
    (error,) = (from_status(response.error) for response in found if response.WhichOneof("result") == "error")
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert error.violations[0].field == "id"
    assert sorted(response.id for response in found) == sorted(["first", name, "last"])


async def test_a_full_server_slows_streams_and_leaves_room_for_single_calls(torchserve: FakeTorchServe) -> None:
    async with running_gateway(torchserve, SMALL) as gateway:
        torchserve.open.clear()
        sent: list[str] = []

        async def items() -> AsyncIterator[pb.ExplainStreamRequest]:
            for number in range(40):
                sent.append(str(number))
                yield item(str(number))

        streams = [asyncio.ensure_future(answers(gateway.stub.ExplainStream(items()))) for _ in range(2)]
        await torchserve.arrived(1)

        async def depth() -> float:
            return (await gateway.metrics())['camserve_queue_depth{model="shapes"}']

        while await depth() < 2:  # half of the queue
            pass
        single = asyncio.ensure_future(gateway.stub.Explain(item("single").request))
        while await depth() < 3:
            pass
        torchserve.open.set()
        assert (await single).explanations
        for found in await asyncio.gather(*streams):
            assert len(found) == 40
            assert all(response.WhichOneof("result") == "response" for response in found.values())
        assert (await gateway.metrics()).get('camserve_refusals_total{reason="QUEUE_FULL"}', 0) == 0


async def test_no_more_than_so_many_items_are_in_hand(torchserve: FakeTorchServe) -> None:
    async with running_gateway(torchserve, replace(SETTINGS, stream_items=4, pack_items=1)) as gateway:
        torchserve.open.clear()
        stream = asyncio.ensure_future(answers(gateway.stub.ExplainStream(iter([item(str(n)) for n in range(40)]))))
        await torchserve.arrived(1)

        async def taken() -> float:
            metrics = await gateway.metrics()
            return metrics['camserve_queue_depth{model="shapes"}'] + metrics['camserve_in_flight{model="shapes"}']

        while await taken() < 4:
            pass
        for _ in range(10):
            assert await taken() == 4
        torchserve.open.set()
        assert len(await stream) == 40


async def test_the_next_item_is_read_when_the_caller_took_an_answer() -> None:
    read = 0

    async def items() -> AsyncIterator[pb.ExplainStreamRequest]:
        nonlocal read
        for number in range(40):
            read += 1
            yield item(str(number))

    async def explain(request: pb.ExplainRequest) -> pb.ExplainResponse:
        return pb.ExplainResponse(request_id=request.request_id)

    watching: Any = {"metrics": Metrics(), "tracing": Tracing(None), "call_log": CallLog("service", wanted=False)}
    stream = BulkStream(explain, 4, asyncio.Event(), **watching)
    async with aclosing(stream.responses(items())) as responses:
        for taken in range(37):
            await anext(responses)
            for _ in range(100):  # turns of the loop, in which a reader without bounds would read on
                await asyncio.sleep(0)
            assert read == taken + 4
        assert len([response async for response in responses]) == 3


async def test_a_stream_whose_caller_goes_away_leaves_the_queue(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    torchserve.open.clear()
    call = gateway.stub.ExplainStream(iter([item(str(n)) for n in range(10)]))
    reading = asyncio.ensure_future(call.read())
    await torchserve.arrived(1)
    call.cancel()
    while (await gateway.metrics())['camserve_queue_depth{model="shapes"}']:
        pass
    torchserve.open.set()
    await gateway.stub.Explain(item("next").request)
    assert [work.explain.request_id for work in torchserve.packs[-1]] == ["next"]
    assert torchserve.cancelled == 0
    assert len(torchserve.packs) == 2
    reading.cancel()


async def test_a_stop_answers_what_was_read_and_says_that_it_reads_no_more(torchserve: FakeTorchServe) -> None:
    async with running_gateway(torchserve) as gateway:
        torchserve.open.clear()
        call = gateway.stub.ExplainStream()
        await call.write(item("a"))
        await torchserve.arrived(1)
        gateway.stop.set()
        torchserve.open.set()
        assert (await call.read()).id == "a"

        async def end() -> None:
            assert await call.read() is grpc.aio.EOF
            raise grpc.aio.AioRpcError(
                await call.code(), await call.initial_metadata(), await call.trailing_metadata(), await call.details()
            )

        error = await refused(end())
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        await gateway.running
