"""What the gateway measures, for Prometheus."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.interceptor import Context, Method

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60)
_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_BYTES = tuple(4.0**power for power in range(5, 13))  # 1 KiB to 16 MiB
_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
_METHOD_LABELS = ("grpc_type", "grpc_service", "grpc_method")
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class QueueMetrics:
    """Metrics of one model's queue."""

    depth: Gauge
    in_flight: Gauge
    pack_size: Histogram
    expired: Counter
    abandoned: Counter
    worker_deaths: Counter


class Metrics:
    """The metrics of one gateway, in a registry of their own.

    Labels ``model``, ``task`` and ``method`` take values that models describe, never what a caller sent.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._started = self._counter("grpc_server_started_total", "Calls that began.", _METHOD_LABELS)
        self._handled = self._counter("grpc_server_handled_total", "Calls that ended.", (*_METHOD_LABELS, "grpc_code"))
        self._handling = self._histogram(
            "grpc_server_handling_seconds", "Seconds from a call's beginning to its end.", _METHOD_LABELS, _SECONDS
        )
        self._stages = self._histogram(
            "camserve_stage_seconds",
            "Seconds that answered requests spent in each stage.",
            ("stage", "model", "task", "method"),
            _SECONDS,
        )
        self._faithfulness = self._histogram(
            "camserve_faithfulness_ratio",
            "How good maps were, by the figures of Faithfulness as shares of 1.",
            ("figure", "model", "task", "method"),
            _SHARES,
        )
        self._image_bytes = self._histogram("camserve_image_bytes", "Bytes of admitted images.", ("model",), _BYTES)
        self._depth = self._gauge("camserve_queue_depth", "Requests that wait for a worker.", ("model",))
        self._in_flight = self._gauge("camserve_in_flight", "Runs of a model under way.", ("model",))
        self._pack_size = self._histogram("camserve_pack_size", "Requests answered by one run.", ("model",), _ITEMS)
        self._dropped = self._counter(
            "camserve_dropped_total",
            "Requests that left the queue and never reached a worker: expired or abandoned.",
            ("model", "reason"),
        )
        self._worker_deaths = self._counter(
            "camserve_worker_deaths_total", "Runs that ended with the end of their worker.", ("model",)
        )
        self._workers = self._gauge("camserve_worker_ready", "Workers that can answer.", ("model",))
        self.stream_items = self._counter("camserve_stream_items_total", "Items of streams that ended.", ("grpc_code",))
        self.refusals = self._counter("camserve_refusals_total", "Requests that ended in an error.", ("reason",))

    def queue(self, model: str) -> QueueMetrics:
        """The metrics of a model's queue."""
        return QueueMetrics(
            self._depth.labels(model),
            self._in_flight.labels(model),
            self._pack_size.labels(model),
            self._dropped.labels(model, "expired"),
            self._dropped.labels(model, "abandoned"),
            self._worker_deaths.labels(model),
        )

    def workers(self, model: str) -> Gauge:
        """The number of a model's workers that can answer, over all its versions."""
        return self._workers.labels(model)

    def image_bytes(self, model: str) -> Histogram:
        """The sizes of images for a model."""
        return self._image_bytes.labels(model)

    def observe_stages(self, model: str, task: str, method: str, seconds: Mapping[str, float]) -> None:
        """Records where the time of one answered request went, in seconds by stage."""
        for stage, value in seconds.items():
            self._stages.labels(stage, model, task, method).observe(value)

    def observe_faithfulness(self, model: str, task: str, method: str, shares: Mapping[str, float]) -> None:
        """Records how good one map was, in shares of 1 by figure."""
        for figure, value in shares.items():
            self._faithfulness.labels(figure, model, task, method).observe(value)

    @asynccontextmanager
    async def scope(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Counts and times a call."""
        labels = (method.kind, method.service, method.name)
        self._started.labels(*labels).inc()
        start = time.perf_counter()
        code = grpc.StatusCode.UNKNOWN
        try:
            yield
            code = _code(context)
        except asyncio.CancelledError:
            code = _cancelled(context)
            raise
        except Exception:
            # The call was aborted; whether the status still reached the caller (who may be gone: then another error
            # than AbortError comes) does not change which one it was.
            code = _code(context)
            raise
        finally:
            self._handling.labels(*labels).observe(time.perf_counter() - start)
            self._handled.labels(*labels, code.name).inc()

    def _counter(self, name: str, text: str, labels: Sequence[str]) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str]) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)


def _code(context: Context) -> grpc.StatusCode:
    code = context.code()  # a number, or None while nothing but success has been said
    return _CODES[int(code)] if isinstance(code, int) else code or grpc.StatusCode.OK


def _cancelled(context: Context) -> grpc.StatusCode:
    remaining = context.time_remaining()
    passed = remaining is not None and remaining <= 0
    return grpc.StatusCode.DEADLINE_EXCEEDED if passed else grpc.StatusCode.CANCELLED
