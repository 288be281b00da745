"""The gateway and the handler against messages that were made to hurt them."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from handlers.pack import answer
from tests.gateway.client import Gateway, picture, refused, running_gateway
from tests.gateway.torchserve import FakeTorchServe
from tests.hostility.messages import METHODS, fuzzed_messages
from tests.hostility.servable import Picky

COUNT = 2000
_CALLERS_FAULT = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
}


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with FakeTorchServe() as fake, running_gateway(fake) as running:
        yield running


async def call(gateway: Gateway, method: str, data: bytes) -> grpc.StatusCode:
    """The code that bytes are answered with; an error tells its reason."""
    raw: Any = gateway.channel.unary_unary(f"/camserve.v1.ExplanationService/{method}")
    try:
        await raw(data, timeout=30)
    except grpc.aio.AioRpcError as error:
        trailers = dict(error.trailing_metadata() or ())
        told = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
        return error.code() if told.details else grpc.StatusCode.UNKNOWN
    return grpc.StatusCode.OK


async def test_fuzzed_messages_are_answered_or_refused_as_the_callers_fault(gateway: Gateway) -> None:
    codes: Counter[grpc.StatusCode] = Counter()
    for method, data in fuzzed_messages(COUNT, ["shapes"]):
        codes[await call(gateway, method, data)] += 1
    assert set(codes) <= {grpc.StatusCode.OK, *_CALLERS_FAULT}, codes
    assert codes[grpc.StatusCode.INVALID_ARGUMENT] > COUNT / 4  # they do get beyond the first look
    assert sum(codes.values()) == COUNT
    handled = {name: value for name, value in (await gateway.metrics()).items() if "server_handled_total" in name}
    assert sum(handled.values()) == COUNT


@pytest.mark.parametrize("method", METHODS)
async def test_bytes_of_no_message(gateway: Gateway, method: str) -> None:
    raw: Any = gateway.channel.unary_unary(f"/camserve.v1.ExplanationService/{method}")
    error = await refused(raw(b"\xff\xff\xff"))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_UNREADABLE")


async def test_bytes_of_no_message_in_a_stream(gateway: Gateway) -> None:
    raw: Any = gateway.channel.stream_stream("/camserve.v1.ExplanationService/ExplainStream")
    stream = raw(iter([b"\xff\xff\xff"]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        [_ async for _ in stream]
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_method_that_is_not_there(gateway: Gateway) -> None:
    raw: Any = gateway.channel.unary_unary("/camserve.v1.ExplanationService/Train")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await raw(b"")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_metadata_that_is_too_long(gateway: Gateway) -> None:
    request = pb.ExplainRequest(model="shapes", image=picture())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.stub.Explain(request, metadata=(("a", "b" * 100_000),))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def _items() -> st.SearchStrategy[bytes]:
    request = st.builds(
        pb.ExplainRequest, model=st.text(), image=st.binary(), method=st.text(), layers=st.lists(st.text())
    )
    items = st.lists(st.builds(wire.Item, explain=request), max_size=4)
    return items.map(lambda some: wire.Pack(items=wire.Items(items=some)).SerializeToString())


@settings(max_examples=500, deadline=None)
@given(data=st.one_of(st.binary(max_size=200), _items()))
def test_the_handler_answers_whatever_it_is_given(data: bytes) -> None:
    result = wire.PackResult.FromString(answer(Picky(), data, lambda _: None))
    assert result.WhichOneof("result") in {"items", "error", "model"}
