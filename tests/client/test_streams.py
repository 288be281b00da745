"""Progress and bulk, by both clients, against a real gRPC server."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pytest

from camserve import AsyncExplanationClient, CamserveError, ExplanationClient, Progress, stream_item
from camserve.errors import InternalError, InvalidArgumentError, NotFoundError, UnavailableError
from camserve.rendering import encode_png
from camserve.results import ExplainResult
from camserve.v1 import explanation_pb2 as pb
from tests.client.fake_service import MAP, FakeService

IMAGE = encode_png(np.full((30, 40, 3), 200, dtype=np.uint8))
MODEL = "scenes-classifier"

Gather = Callable[..., list[Any]]


def _sync(address: str, rpc: str, /, *arguments: Any, **options: Any) -> list[Any]:
    with ExplanationClient(address) as client:
        return list(getattr(client, rpc)(*arguments, **options))


def _async(address: str, rpc: str, /, *arguments: Any, **options: Any) -> list[Any]:
    async def call() -> list[Any]:
        async with AsyncExplanationClient(address) as client:
            return [each async for each in getattr(client, rpc)(*arguments, **options)]

    return asyncio.run(call())


@pytest.fixture(params=[_sync, _async], ids=["sync", "async"])
def gather(request: pytest.FixtureRequest) -> Gather:
    """Calls a method of one of the clients and gathers what it yields."""
    chosen: Gather = request.param
    return chosen


def test_progress_and_then_the_result(gather: Gather, address: str, service: FakeService) -> None:
    *events, result = gather(
        address, "explain_progress", IMAGE, model=MODEL, targets=["star", 0], method="opti-cam", map_every=2
    )
    assert [(event.step, event.steps, event.objectives) for event in events] == [(1, 2, (0.25,)), (2, 2, (0.5,))]
    np.testing.assert_array_equal(events[0].heatmaps[1].values, MAP)
    assert events[0].heatmaps[1].on_image().shape == (30, 40)
    assert isinstance(result, ExplainResult)
    assert [explanation.target.label for explanation in result.explanations] == ["star", "circle"]
    assert result.explanation.image == IMAGE
    assert service.requests[0].method == "opti-cam"


def test_figures_of_maps_come_with_both(gather: Gather, address: str) -> None:
    items = [stream_item(str(number), IMAGE, model=MODEL, faithfulness=number == 0) for number in range(2)]
    figures = {each.id: each.result.explanation.faithfulness for each in gather(address, "explain_stream", items)}
    assert figures["1"] is None
    assert figures["0"].average_drop == 12.5
    *_, result = gather(address, "explain_progress", IMAGE, model=MODEL, faithfulness=True)
    assert result.explanation.faithfulness == figures["0"]


def test_progress_without_maps(gather: Gather, address: str) -> None:
    first, *_ = gather(address, "explain_progress", IMAGE, model=MODEL)
    assert first.heatmaps == ()


def test_a_refusal_of_progress_keeps_its_details(gather: Gather, address: str, service: FakeService) -> None:
    service.failures = [InvalidArgumentError("it is so", "IT_IS_SO", field="image")]
    with pytest.raises(InvalidArgumentError, match="it is so") as caught:
        gather(address, "explain_progress", IMAGE, model=MODEL)
    assert caught.value.reason == "IT_IS_SO"


def test_a_server_that_is_not_there(gather: Gather) -> None:
    with pytest.raises(UnavailableError, match=r"no camserve server answers at 127\.0\.0\.1:1"):
        gather("127.0.0.1:1", "explain_progress", IMAGE, model="m", timeout=5)
    with pytest.raises(UnavailableError, match=r"no camserve server answers at 127\.0\.0\.1:1"):
        gather("127.0.0.1:1", "explain_stream", [stream_item("a", IMAGE, model="m")], timeout=5)


def test_who_stops_listening_hangs_up(address: str, service: FakeService) -> None:
    service.steps.clear()
    with ExplanationClient(address) as client:
        for event in client.explain_progress(IMAGE, model=MODEL):
            assert isinstance(event, Progress)
            break
        assert service.gone.wait(10)
    service.steps.set()


async def test_who_stops_listening_hangs_up_in_asyncio(address: str, service: FakeService) -> None:
    service.steps.clear()
    async with AsyncExplanationClient(address) as client:
        events = client.explain_progress(IMAGE, model=MODEL)
        await anext(events)
        await events.aclose()
        assert await asyncio.to_thread(service.gone.wait, 10)
    service.steps.set()


def _items(count: int) -> Iterator[pb.ExplainStreamRequest]:
    for number in range(count):
        yield stream_item(str(number), IMAGE, model="unknown" if number == 3 else MODEL, request_id=f"r{number}")


def test_every_item_has_its_own_result(gather: Gather, address: str) -> None:
    results = gather(address, "explain_stream", _items(9))
    assert [each.id for each in results] == ["1", "0", "3", "2", "5", "4", "7", "6", "8"]
    for each in results:
        if each.id == "3":
            assert isinstance(each.outcome, NotFoundError)
            with pytest.raises(NotFoundError, match="unknown"):
                each.result  # noqa: B018
        else:
            assert each.result.request_id == f"r{each.id}"
            assert each.result.explanation.image == IMAGE


def test_no_items_no_results(gather: Gather, address: str) -> None:
    assert gather(address, "explain_stream", []) == []


async def test_items_may_come_of_an_async_generator(address: str) -> None:
    async def items() -> AsyncIterator[pb.ExplainStreamRequest]:
        for item in _items(5):
            yield item

    async with AsyncExplanationClient(address) as client:
        assert len([each async for each in client.explain_stream(items())]) == 5


def test_what_the_iterable_raises_comes_after_the_results_of_what_it_gave(gather: Gather, address: str) -> None:
    def items() -> Iterator[pb.ExplainStreamRequest]:
        yield from _items(2)
        yield stream_item("lost", "nowhere/nope.jpg", model=MODEL)

    with pytest.raises(OSError, match=r"nope\.jpg"):
        gather(address, "explain_stream", items())
    with ExplanationClient(address) as client:
        results = client.explain_stream(items())
        assert [next(results).id, next(results).id] == ["1", "0"]
        with pytest.raises(OSError, match=r"nope\.jpg"):
            next(results)


def test_an_id_that_is_in_hand_is_refused(gather: Gather, address: str) -> None:
    with pytest.raises(ValueError, match="id: '0' is that of an item in hand"):
        gather(address, "explain_stream", [*_items(1), *_items(1)])


def test_a_stream_that_fails(gather: Gather, address: str, service: FakeService) -> None:
    service.failures = [InternalError("broken", "BROKEN")]
    with pytest.raises(CamserveError, match="broken"):
        gather(address, "explain_stream", _items(2))


@pytest.mark.parametrize("name", ["explain_progress", "explain_stream"])
def test_both_clients_take_the_same(name: str) -> None:
    sync, aio = (
        [(each.name, each.kind, each.default) for each in inspect.signature(getattr(cls, name)).parameters.values()]
        for cls in (ExplanationClient, AsyncExplanationClient)
    )
    assert sync == aio
