import asyncio
from typing import Any

import pytest

from camserve.tracing import TracingError, outgoing, tracer
from camserve.v1 import explanation_pb2 as pb
from tests.gateway.client import Gateway, picture, refused, running_gateway
from tests.gateway.torchserve import FakeTorchServe

pytest.importorskip("opentelemetry.sdk", reason="tracing is an optional part: pip install '.[tracing]'")

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = [("traceparent", f"00-{TRACE}-{SPAN}-01")]
REQUEST = pb.ExplainRequest(model="shapes", image=picture())


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The spans of gateways that are started in the test."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr("gateway.server.tracer", lambda _: provider.get_tracer("test"))
    return kept


def named(spans: Any) -> dict[str, Any]:
    return {span.name: span for span in spans.get_finished_spans()}


async def test_a_call_is_a_span_below_its_callers(torchserve: FakeTorchServe, spans: Any) -> None:
    async with running_gateway(torchserve) as gateway:
        request = pb.ExplainRequest(model="shapes", image=picture(), request_id="mine")
        request.output.renderings.add(format=pb.RENDERING_FORMAT_PNG)
        await gateway.stub.Explain(request, metadata=PARENT)
    found = named(spans)
    assert set(found) == {"camserve.v1.ExplanationService/Explain", "queue", "upstream", "render"}
    call = found["camserve.v1.ExplanationService/Explain"]
    assert (f"{call.context.trace_id:032x}", f"{call.parent.span_id:016x}") == (TRACE, SPAN)
    assert call.kind.name == "SERVER"
    assert call.attributes["camserve.request_id"] == "mine"
    assert call.attributes["camserve.model"] == "shapes:1"
    assert call.attributes["camserve.method"] == "grad-cam"
    assert call.attributes["rpc.grpc.status_code"] == 0
    for name in ("queue", "upstream", "render"):
        stage = found[name]
        assert stage.parent.span_id == call.context.span_id
        assert call.start_time - 5_000_000 <= stage.start_time <= stage.end_time
    assert found["queue"].end_time <= found["upstream"].start_time <= found["render"].start_time
    (pack,) = torchserve.packs
    assert pack[0].traceparent == f"00-{TRACE}-{call.context.span_id:016x}-{call.context.trace_flags:02x}"


async def test_errors_of_the_server_and_of_the_caller(torchserve: FakeTorchServe, spans: Any) -> None:
    async with running_gateway(torchserve) as gateway:
        await refused(gateway.stub.Explain(pb.ExplainRequest(model="none", image=picture())))
        torchserve.reply = b"\xff"
        await refused(gateway.stub.Explain(REQUEST))
    callers, servers = [span for span in spans.get_finished_spans() if "Explain" in span.name]
    assert (callers.attributes["rpc.grpc.status_code"], callers.status.is_ok) == (5, True)
    assert callers.attributes["camserve.reason"] == "MODEL_UNKNOWN"
    assert (servers.attributes["rpc.grpc.status_code"], servers.status.is_ok) == (13, False)


async def test_items_of_a_stream_are_spans_of_their_own(torchserve: FakeTorchServe, spans: Any) -> None:
    async with running_gateway(torchserve) as gateway:
        items = [pb.ExplainStreamRequest(id=str(number), request=REQUEST) for number in range(3)]
        assert len([answer async for answer in gateway.stub.ExplainStream(iter(items), metadata=PARENT)]) == 3
    found = [span for span in spans.get_finished_spans() if span.name == "item"]
    stream = named(spans)["camserve.v1.ExplanationService/ExplainStream"]
    assert [item.parent.span_id for item in found] == [stream.context.span_id] * 3
    assert {item.traceparent.split("-")[2] for pack in torchserve.packs for item in pack} == {
        f"{item.context.span_id:016x}" for item in found
    }


async def test_a_caller_that_does_not_record_is_not_recorded(torchserve: FakeTorchServe, spans: Any) -> None:
    async with running_gateway(torchserve) as gateway:
        await gateway.stub.Explain(REQUEST, metadata=[("traceparent", f"00-{TRACE}-{SPAN}-00")])
    assert spans.get_finished_spans() == ()
    assert torchserve.packs[0][0].traceparent.startswith(f"00-{TRACE}-")


async def test_without_tracing_the_context_goes_on_as_it_came(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    await gateway.stub.Explain(REQUEST, metadata=PARENT)
    await gateway.stub.Explain(REQUEST)
    assert [pack[0].traceparent for pack in torchserve.packs] == [PARENT[0][1], ""]


def test_traces_are_off_unless_they_are_asked_for() -> None:
    assert tracer("x", {}) is None
    assert tracer("x", {"OTEL_TRACES_EXPORTER": "none"}) is None
    with pytest.raises(TracingError, match="must be otlp, console or none, not 'zipkin'"):
        tracer("x", {"OTEL_TRACES_EXPORTER": "zipkin"})


def test_asked_for_and_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracingError, match=r"pip install 'camserve-server\[tracing\]'"):
        tracer("x", {"OTEL_TRACES_EXPORTER": "otlp"})


async def test_the_client_passes_on_the_span_that_is_open(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    from opentelemetry.sdk.trace import TracerProvider

    from camserve import AsyncExplanationClient, ExplanationClient

    address = f"localhost:{gateway.ports.grpc}"
    with TracerProvider().get_tracer("caller").start_as_current_span("work") as span:
        own = span.get_span_context()
        expected = f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"
        assert outgoing() == (("traceparent", expected),)
        async with AsyncExplanationClient(address) as client:
            await client.explain(picture(), model="shapes")
        with ExplanationClient(address) as sync:
            await asyncio.to_thread(sync.explain, picture(), model="shapes")
    assert [pack[0].traceparent for pack in torchserve.packs] == [expected, expected]
