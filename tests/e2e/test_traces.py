"""A trace across caller, gateway and worker, as a collector gets it."""

import time
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from camserve.v1 import explanation_pb2 as pb
from camserve.v1.explanation_pb2_grpc import ExplanationServiceStub
from gateway.launcher.server import run_server
from monitoring.traffic import pictures

pytest.importorskip("opentelemetry.sdk", reason="tracing is an optional part: pip install '.[tracing]'")
pytestmark = pytest.mark.slow

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@dataclass
class Collector:
    """What OpenTelemetry's collector would be sent: spans, with the service that each is of."""

    address: str = ""
    spans: list[tuple[str, Any]] = field(default_factory=list)


@pytest.fixture
def collector() -> Iterator[Collector]:
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as wire
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

    kept = Collector()

    class Servicer(service.TraceServiceServicer):
        def Export(self, request: Any, _context: Any) -> Any:  # noqa: N802
            for resource in request.resource_spans:
                name = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
                kept.spans += [(name, span) for scope in resource.scope_spans for span in scope.spans]
            return wire.ExportTraceServiceResponse()

    server = grpc.server(futures.ThreadPoolExecutor(2))
    service.add_TraceServiceServicer_to_server(Servicer(), server)
    kept.address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield kept
    server.stop(None).wait()


def test_a_call_is_one_trace_from_its_caller_to_the_worker(collector: Collector) -> None:
    env = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with (
        run_server("--models", "scenes-classifier", env=env) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        request = pb.ExplainRequest(model="scenes-classifier", image=pictures()[0])
        header = ("traceparent", f"00-{TRACE}-{SPAN}-01")
        ExplanationServiceStub(channel).Explain(request, metadata=(header,), timeout=60)
        expected = {"camserve.v1.ExplanationService/Explain", "queue", "upstream", "worker", "decode", "explain"}
        deadline = time.monotonic() + 30
        while {span.name for _, span in collector.spans} < expected and time.monotonic() < deadline:
            time.sleep(0.1)
    found = {span.name: (service, span) for service, span in collector.spans}
    assert set(found) == expected
    assert {span.trace_id.hex() for _, span in found.values()} == {TRACE}
    service, call = found["camserve.v1.ExplanationService/Explain"]
    assert (service, call.parent_span_id.hex()) == ("camserve-gateway", SPAN)
    for name in ("queue", "upstream"):
        assert (found[name][0], found[name][1].parent_span_id) == ("camserve-gateway", call.span_id)
    service, worker = found["worker"]
    assert (service, worker.parent_span_id) == ("camserve-worker", call.span_id)
    assert found["explain"][1].parent_span_id == found["decode"][1].parent_span_id == worker.span_id
    assert call.start_time_unix_nano < worker.start_time_unix_nano < worker.end_time_unix_nano < call.end_time_unix_nano
