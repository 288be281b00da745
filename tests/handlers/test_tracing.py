import time
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from camserve.errors import InternalError
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from handlers.tracing import Spans

pytest.importorskip("opentelemetry.sdk", reason="tracing is an optional part: pip install '.[tracing]'")

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_each_traced_item_has_a_span_with_its_stages() -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    timing = pb.Timing(decode=Duration(nanos=3_000_000), explain=Duration(nanos=5_000_000))
    traced = wire.Item(traceparent=f"00-{TRACE}-{SPAN}-01")
    start = time.time_ns()
    Spans(provider.get_tracer("test")).record(
        [traced, wire.Item(), traced],
        [
            wire.ItemResult(explain=pb.ExplainResponse(timing=timing)),
            wire.ItemResult(predict=pb.PredictResponse()),
            wire.ItemResult(error=InternalError("broken", "WORKER_FAILED").to_status()),
        ],
        start,
    )
    decode, explain, answered, failed = kept.get_finished_spans()
    assert [span.name for span in (decode, explain, answered, failed)] == ["decode", "explain", "worker", "worker"]
    for span in (answered, failed):
        assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
        assert span.start_time == start
        assert span.end_time > start
    assert [span.attributes["camserve.result"] for span in (answered, failed)] == ["explain", "error"]
    assert decode.parent.span_id == explain.parent.span_id == answered.context.span_id
    assert (decode.start_time, decode.end_time) == (start, start + 3_000_000)
    assert (explain.start_time, explain.end_time) == (start + 3_000_000, start + 8_000_000)


def test_nothing_is_asked_of_what_records_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_TRACES_EXPORTER", raising=False)
    broken: Any = None  # items that nobody may look at
    Spans.of_environment().record(broken, broken, 0)
