"""What the gateway measures, for Prometheus."""

import platform
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

import grpc
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from camserve.enums import enum_name
from camserve.v1 import explanation_pb2 as pb
from gateway.call import exemplar
from gateway.interceptor import Context, Method, status_code

disable_created_metrics()  # type: ignore[no-untyped-call] # a series more for each counter and histogram, which nobody reads

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60)
_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_BYTES = tuple(4.0**power for power in range(5, 13))  # 1 KiB to 16 MiB
_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
_METHOD_LABELS = ("grpc_type", "grpc_service", "grpc_method")
_MAP_LABELS = ("model", "task", "method")
_WARNINGS = [code for code in pb.WarningCode.values() if code != pb.WARNING_CODE_UNSPECIFIED]
_REASONS = (
    *("QUEUE_FULL", "DEADLINE_UNREACHABLE", "DEADLINE_EXCEEDED", "MODEL_NOT_READY", "DRAINING", "INTERNAL"),
    *("WORKER_CRASHED", "WORKER_FAILED", "WORKER_UNAVAILABLE", "UPSTREAM_UNAVAILABLE", "UPSTREAM_FAILED"),
    *("REQUEST_QUARANTINED", "CALLER_RATE", "CALLER_IN_HAND"),
)
"""Reasons of refusal that alerts and dashboards ask for; those of the callers' own faults come as they happen."""


@dataclass(frozen=True)
class QueueMetrics:
    """Metrics of one model's queue."""

    depth: Gauge
    wait: Histogram
    in_flight: Gauge
    pack_size: Histogram
    expired: Counter
    abandoned: Counter
    lost_runs: Counter


@dataclass(frozen=True)
class WorkerMetrics:
    """Metrics of one model's workers, over all its versions."""

    ready: Gauge
    wanted: Gauge
    restarts: Counter


class Metrics:
    """The metrics of one gateway, in a registry of their own.

    No label takes a value that a caller sent: ``model``, ``task`` and ``method`` are those that models describe,
    ``reason`` and ``warning`` are camserve's own, and calls to methods that nobody serves are not counted. Series that
    alerts ask for are there from the start, at 0, so that the first event counts too.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._started = self._counter("grpc_server_started_total", "Calls that began.", _METHOD_LABELS)
        self._handled = self._counter("grpc_server_handled_total", "Calls that ended.", (*_METHOD_LABELS, "grpc_code"))
        self._handling = self._histogram(
            "grpc_server_handling_seconds", "Seconds from a call's beginning to its end.", _METHOD_LABELS, _SECONDS
        )
        self._received = self._counter("grpc_server_msg_received_total", "Messages that came.", _METHOD_LABELS)
        self._sent = self._counter("grpc_server_msg_sent_total", "Messages that were sent.", _METHOD_LABELS)
        self._received_bytes = self._counter("camserve_received_bytes_total", "Bytes of these.", _METHOD_LABELS)
        self._sent_bytes = self._counter("camserve_sent_bytes_total", "Bytes of these.", _METHOD_LABELS)
        self._stages = self._histogram(
            "camserve_stage_seconds",
            "Seconds that answered requests spent in each stage.",
            ("stage", *_MAP_LABELS),
            _SECONDS,
        )
        self._maps = self._counter("camserve_maps_total", "Maps that were made.", _MAP_LABELS)
        self._warnings = self._counter(
            "camserve_map_warnings_total", "Warnings that came with maps.", ("warning", *_MAP_LABELS)
        )
        self._mapped: set[tuple[str, str, str]] = set()
        self._faithfulness = self._histogram(
            "camserve_faithfulness_ratio",
            "How good maps were, by the figures of Faithfulness as shares of 1.",
            ("figure", *_MAP_LABELS),
            _SHARES,
        )
        self._image_bytes = self._histogram("camserve_image_bytes", "Bytes of admitted images.", ("model",), _BYTES)
        self._depth = self._gauge("camserve_queue_depth", "Requests that wait for a worker.", ("model",))
        self._wait = self._histogram(
            "camserve_queue_wait_seconds", "Seconds that requests waited, answered or not.", ("model",), _SECONDS
        )
        self._in_flight = self._gauge("camserve_in_flight", "Runs of a model under way.", ("model",))
        self._pack_size = self._histogram("camserve_pack_size", "Requests answered by one run.", ("model",), _ITEMS)
        self._dropped = self._counter(
            "camserve_dropped_total",
            "Requests that left the queue and never reached a worker: expired or abandoned.",
            ("model", "reason"),
        )
        self._lost_runs = self._counter(
            "camserve_lost_runs_total", "Runs that ended with the end of their worker.", ("model",)
        )
        self._ready = self._gauge("camserve_worker_ready", "Workers that can answer.", ("model",))
        self._wanted = self._gauge("camserve_worker_wanted", "Workers that there should be.", ("model",))
        self._restarts = self._counter("camserve_worker_restarts_total", "Workers that were started again.", ("model",))
        self.stream_items = self._counter("camserve_stream_items_total", "Items of streams that ended.", ("grpc_code",))
        self.refusals = self._counter("camserve_refusals_total", "Requests that ended in an error.", ("reason",))
        self._queue_limit = self._gauge("camserve_queue_limit", "Requests that may wait for one model.", ())
        self._gauge("camserve_build_info", "1, and what runs here as labels.", ("version", "python", "grpc")).labels(
            version("camserve-server"), platform.python_version(), grpc.__version__
        ).set(1)
        for code in grpc.StatusCode:
            self.stream_items.labels(code.name)
        for reason in _REASONS:
            self.refusals.labels(reason)

    def expect(self, methods: Iterable[Method]) -> None:
        """Has the series of methods that are served from the start."""
        for method in methods:
            labels = (method.kind, method.service, method.name)
            for metric in (self._started, self._handling, self._received, self._sent):
                metric.labels(*labels)
            for code in grpc.StatusCode:
                self._handled.labels(*labels, code.name)

    def set_queue_limit(self, items: int) -> None:
        """Says how many requests may wait for one model."""
        self._queue_limit.set(items)

    def queue(self, model: str) -> QueueMetrics:
        """The metrics of a model's queue."""
        return QueueMetrics(
            self._depth.labels(model),
            self._wait.labels(model),
            self._in_flight.labels(model),
            self._pack_size.labels(model),
            self._dropped.labels(model, "expired"),
            self._dropped.labels(model, "abandoned"),
            self._lost_runs.labels(model),
        )

    def workers(self, model: str) -> WorkerMetrics:
        """The metrics of a model's workers."""
        return WorkerMetrics(self._ready.labels(model), self._wanted.labels(model), self._restarts.labels(model))

    def image_bytes(self, model: str) -> Histogram:
        """The sizes of images for a model."""
        return self._image_bytes.labels(model)

    def received(self, method: Method, size: int) -> None:
        """Counts a message that came, of so many bytes."""
        self._received.labels(method.kind, method.service, method.name).inc()
        self._received_bytes.labels(method.kind, method.service, method.name).inc(size)

    def sent(self, method: Method, size: int) -> None:
        """Counts a message that is sent, of so many bytes."""
        self._sent.labels(method.kind, method.service, method.name).inc()
        self._sent_bytes.labels(method.kind, method.service, method.name).inc(size)

    def observe_stages(self, model: str, task: str, method: str, seconds: Mapping[str, float]) -> None:
        """Records where the time of one answered request went, in seconds by stage."""
        trace = exemplar()
        for stage, value in seconds.items():
            self._stages.labels(stage, model, task, method).observe(value, trace)

    def observe_map(self, model: str, task: str, method: str, warnings: Iterable["pb.WarningCode.ValueType"]) -> None:
        """Counts one map and the warnings that came with it."""
        if (model, task, method) not in self._mapped:  # the first of its kind: from now on its warnings are there, at 0
            self._mapped.add((model, task, method))
            for code in _WARNINGS:
                self._warnings.labels(enum_name(pb.WarningCode, code), model, task, method)
        self._maps.labels(model, task, method).inc()
        for code in warnings:
            self._warnings.labels(enum_name(pb.WarningCode, code), model, task, method).inc()

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
        try:
            yield
        finally:
            self._handling.labels(*labels).observe(time.perf_counter() - start, exemplar())
            self._handled.labels(*labels, status_code(context).name).inc()

    def _counter(self, name: str, text: str, labels: Sequence[str]) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str]) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)
