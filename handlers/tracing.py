"""Spans of what a worker did, in the traces of its callers."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from camserve.tracing import tracer
from camserve.worker.v1 import worker_pb2 as wire

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_STAGES = ("decode", "forward", "explain")


class Spans:
    """Adds a span for each traced item of a run, with one for each of its stages below it.

    What is explained together was in hand for the same time, so spans are made from timings once all is done.
    """

    def __init__(self, tracer: "Tracer | None") -> None:
        """Takes what records spans; None: nothing does."""
        self._tracer = tracer

    @classmethod
    def of_environment(cls) -> "Spans":
        """What the environment asks for; see `camserve.tracing`.

        Raises:
            TracingError: it asks for what cannot be made.
        """
        return cls(tracer("camserve-worker"))

    def record(self, items: Iterable[wire.Item], results: Iterable[wire.ItemResult], start: int) -> None:
        """Records a run that has just ended.

        Args:
            items: what was asked.
            results: what came of it, in the same order.
            start: when it began, in nanoseconds since 1970.
        """
        if self._tracer is None:
            return
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415 - an optional part
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        end = time.time_ns()
        for item, result in zip(items, results, strict=True):
            if not item.traceparent:
                continue
            above = TraceContextTextMapPropagator().extract({"traceparent": item.traceparent})
            kind = result.WhichOneof("result")
            span = self._tracer.start_span("worker", above, start_time=start, attributes={"camserve.result": str(kind)})
            timing = getattr(result, str(kind)).timing if kind in ("explain", "predict") else None
            begin = start
            for stage in _STAGES:
                if timing is not None and timing.HasField(stage):
                    until = begin + getattr(timing, stage).ToNanoseconds()
                    self._tracer.start_span(stage, set_span_in_context(span), start_time=begin).end(until)
                    begin = until
            span.end(end)
