"""Traces of OpenTelemetry, where it is installed and asked for. It is an optional part, so it is imported late.

``OTEL_TRACES_EXPORTER`` asks for it, as ``otlp`` or ``console``; unset means no traces here. All else is said by
OpenTelemetry's own variables, such as ``OTEL_EXPORTER_OTLP_ENDPOINT`` and ``OTEL_TRACES_SAMPLER``.
"""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_VARIABLE = "OTEL_TRACES_EXPORTER"


class TracingError(Exception):
    """Traces are asked for and cannot be made; the message says why and what to do."""


def tracer(service: str, env: Mapping[str, str] = os.environ) -> "Tracer | None":
    """Starts to export the spans of this process; None if nobody asks for them.

    Args:
        service: name of the service that the spans are of, unless ``OTEL_SERVICE_NAME`` says another.
        env: the environment.

    Raises:
        TracingError: the exporter is not known, or OpenTelemetry is not installed.
    """
    kind = env.get(_VARIABLE, "").strip() or "none"
    if kind == "none":
        return None
    if kind not in ("otlp", "console"):
        raise TracingError(f"{_VARIABLE} must be otlp, console or none, not {kind!r}")
    try:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter  # noqa: PLC0415

        if kind == "otlp":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    except ImportError as error:
        raise TracingError(
            f"{_VARIABLE} is {kind}, and OpenTelemetry is not installed: pip install 'camserve-server[tracing]'"
        ) from error
    named = {} if env.get("OTEL_SERVICE_NAME") else {"service.name": service}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter() if kind == "otlp" else ConsoleSpanExporter()))
    return provider.get_tracer("camserve")


def outgoing() -> tuple[tuple[str, str], ...]:
    """The metadata by which a server goes on with the caller's trace: that of the current span, if there is one."""
    if find_spec("opentelemetry") is None:
        return ()
    from opentelemetry.propagate import inject  # noqa: PLC0415

    carrier: dict[str, str] = {}
    inject(carrier)
    return tuple(carrier.items())
