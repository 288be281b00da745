"""Where calls stand in traces, and the spans that this server adds to them."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import grpc

from gateway.call import Call, current, under_way
from gateway.interceptor import Context, Method, status_code
from gateway.trace_context import HEADER, TraceContext

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

_SERVER_FAULTS = {
    *(grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNIMPLEMENTED),
    *(grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS),
}
"""Codes that OpenTelemetry's conventions call errors of a server; the others are the caller's."""


class Tracing:
    """Opens calls. With a tracer each gets a span, below its caller's; without, it stands where its caller stood."""

    def __init__(self, tracer: "Tracer | None") -> None:
        self._tracer = tracer

    @asynccontextmanager
    async def scope(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Opens the call that comes, in the trace that its caller names."""
        metadata: Any = context.invocation_metadata() or ()
        sent = TraceContext.parse(next((value for key, value in metadata if key == HEADER), None))
        attributes = {"rpc.system": "grpc", "rpc.service": method.service, "rpc.method": method.name}
        with under_way(Call(sent)) as call, self._span(str(method), call, attributes) as span:
            try:
                yield
            finally:
                if span is not None:
                    _close(span, status_code(context))

    @contextmanager
    def item(self) -> Iterator[Call]:
        """Opens an item of the stream that is under way, which is a call of its own below it."""
        above = current()
        with under_way(Call(above.trace, above.caller)) as call, self._span("item", call, {}):
            yield call

    def stages(self, seconds: Mapping[str, float], ago: float) -> None:
        """Adds spans for what was done one after the other below the current call, beginning so many seconds ago."""
        if self._tracer is None:
            return
        start = time.time_ns() - round(ago * 1e9)
        for name, value in seconds.items():
            end = start + round(value * 1e9)
            self._tracer.start_span(name, _below(current().trace), start_time=start).end(end)
            start = end

    @contextmanager
    def _span(self, name: str, call: Call, attributes: Mapping[str, str]) -> Iterator["Span | None"]:
        if self._tracer is None:
            yield None
            return
        from opentelemetry.trace import SpanKind  # noqa: PLC0415 - an optional part

        kind = SpanKind.SERVER if attributes else SpanKind.INTERNAL
        span = self._tracer.start_span(name, _below(call.trace), kind, attributes)
        made = span.get_span_context()
        call.trace = TraceContext(f"{made.trace_id:032x}", f"{made.span_id:016x}", made.trace_flags)
        try:
            yield span
        finally:
            told = ((name, getattr(call, name)) for name in ("caller", "request_id", "model", "method", "reason"))
            span.set_attributes({f"camserve.{name}": value for name, value in told if value})
            span.end()


def _close(span: "Span", code: grpc.StatusCode) -> None:
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 - an optional part

    span.set_attribute("rpc.grpc.status_code", code.value[0])
    if code in _SERVER_FAULTS:
        span.set_status(StatusCode.ERROR, code.name)


def _below(trace: TraceContext | None) -> Any:
    """What OpenTelemetry calls the context of a span below this one."""
    from opentelemetry import trace as api  # noqa: PLC0415 - an optional part
    from opentelemetry.context import Context as OtelContext  # noqa: PLC0415

    if trace is None:
        return OtelContext()  # the root of a trace
    above = api.SpanContext(
        int(trace.trace_id, 16), int(trace.span_id, 16), is_remote=True, trace_flags=api.TraceFlags(trace.flags)
    )
    return api.set_span_in_context(api.NonRecordingSpan(above), OtelContext())
