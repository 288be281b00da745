"""The gateway's server, from its first breath to its last."""

import asyncio
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from camserve.tracing import tracer
from camserve.v1 import explanation_pb2 as pb
from camserve.v1 import explanation_pb2_grpc
from gateway.access.callers import Callers
from gateway.access.gate import Gate
from gateway.access.tls import server_credentials
from gateway.call_log import CallLog
from gateway.catalog import Catalog
from gateway.drain import Drain
from gateway.fleet import Fleet
from gateway.health import Health
from gateway.interceptor import KINDS, Method, ScopeInterceptor
from gateway.metrics import Metrics
from gateway.metrics_server import MetricsServer
from gateway.service import SERVICE, ExplanationService
from gateway.settings import MIB, GatewaySettings, variable
from gateway.status import Statuses
from gateway.succession import Succession
from gateway.tracing import Tracing
from gateway.traffic import TrafficInterceptor
from gateway.upstream import ModelRef, TorchServe, TorchServeAddresses

__all__ = ["BoundPorts", "ModelRef", "TorchServeAddresses", "serve"]

log = logging.getLogger(__name__)

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_STOP_GRACE = 1.0  # seconds for replies that are on their way when no call is left; watchers of health are cut off then


@dataclass(frozen=True)
class BoundPorts:
    """The ports that the gateway listens on.

    Attributes:
        grpc: of the service, health and reflection.
        metrics: of ``/metrics``.
        torchserve_metrics: of TorchServe's own, where it has them and runs here.
    """

    grpc: int
    metrics: int
    torchserve_metrics: int | None = None


async def serve(
    settings: GatewaySettings,
    upstream: TorchServeAddresses,
    models: Sequence[ModelRef],
    *,
    ready: Callable[[BoundPorts], None] | None = None,
    stop: asyncio.Event,
    scratch: Path | None = None,
    succession: Succession | None = None,
) -> None:
    """Serves until it is told to stop, and then finishes what it has accepted.

    It listens at once; until every model has answered, health says NOT_SERVING and requests get UNAVAILABLE.

    Args:
        settings: how it listens and what it takes on.
        upstream: where TorchServe listens. It may come up later.
        models: the models that TorchServe serves; of each name exactly one version is the default.
        ready: called once, when every model has answered.
        stop: set it to end the service.
        succession: through which another TorchServe may follow.
        scratch: where its temporary folder goes, which the workers must reach too; None: where the system has such.

    Raises:
        OSError: a port is taken.
        SettingError: a file that the settings name cannot be used.
        TracingError: traces are asked for and cannot be made.
    """
    metrics = Metrics()
    metrics.set_queue_limit(settings.queue_items)
    metrics.expect(_methods())
    tracing = Tracing(tracer("camserve-gateway"))
    call_log = CallLog(SERVICE, bool(settings.log_calls))
    catalog = Catalog(Fleet(TorchServe(upstream, settings.upstream_timeout), models, settings, metrics))
    statuses = Statuses(metrics)
    drain = Drain(SERVICE, statuses)
    health = Health(SERVICE, catalog)
    await health.update()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(catalog.close)
        render_pool = stack.enter_context(ThreadPoolExecutor(settings.render_threads, "render"))
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-", dir=scratch, ignore_cleanup_errors=True))
        )
        service = ExplanationService(
            *(catalog, settings, metrics),
            tracing=tracing,
            call_log=call_log,
            render_pool=render_pool,
            closing=drain.closing,
            folder=folder,
        )
        gate = Gate(Callers(Path(settings.callers_file)) if settings.callers_file else None)
        scopes = ScopeInterceptor(
            tracing.scope,  # outermost, because the others account for the call that it opens
            call_log.scope,
            metrics.scope,
            drain.scope,
            statuses.scope,
            gate.scope,  # innermost, because whom it does not know gets a status like any other error
        )
        server = _server(settings, [TrafficInterceptor(metrics), scopes], service, health)
        ports = BoundPorts(
            grpc=_bind(server, settings, server_credentials(settings)),
            metrics=await stack.enter_async_context(_metrics_port(settings, metrics)),
        )
        await server.start()
        stack.push_async_callback(server.stop, _STOP_GRACE)
        log.info("listening on %s, gRPC port %d, metrics port %d", settings.host, ports.grpc, ports.metrics)
        changed = _changed(catalog, health, ports, ready)
        async with _beside((succession or Succession()).reign(catalog, settings, metrics, changed), stop):
            stopped = time.monotonic()
            await health.close()
            if not await drain.close(settings.drain_timeout):
                log.warning("requests were still running %g s after the stop and are cut off", settings.drain_timeout)
            await catalog.settle(max(0.0, stopped + settings.drain_timeout - time.monotonic()))


def _server(
    settings: GatewaySettings,
    interceptors: Sequence[grpc.aio.ServerInterceptor],
    service: ExplanationService,
    health: Health,
) -> grpc.aio.Server:
    server = grpc.aio.server(
        interceptors=interceptors,
        options=(
            ("grpc.max_receive_message_length", settings.max_image_bytes + MIB),
            ("grpc.max_send_message_length", settings.max_response_bytes + MIB),
            ("grpc.so_reuseport", 0),  # two gateways must not share a port unnoticed
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.max_connection_age_ms", 10 * 60_000),  # so that clients find new servers
            ("grpc.max_connection_age_grace_ms", round(settings.max_deadline * 1000)),
        ),
    )
    explanation_pb2_grpc.add_ExplanationServiceServicer_to_server(service, server)
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return server


def _methods() -> Iterator[Method]:
    """The methods of the service."""
    for method in pb.DESCRIPTOR.services_by_name["ExplanationService"].methods:
        yield Method(SERVICE, method.name, KINDS[method.client_streaming, method.server_streaming])


def _bind(server: grpc.aio.Server, settings: GatewaySettings, credentials: grpc.ServerCredentials | None) -> int:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host  # IPv6
    address = f"{host}:{settings.port}"
    if credentials is None and settings.host not in _LOOPBACK:
        log.warning("the gRPC port is open to the network and not encrypted; see %s", variable("tls_certificate"))
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise _cannot_listen(settings, "port", error) from error


@asynccontextmanager
async def _metrics_port(settings: GatewaySettings, metrics: Metrics) -> AsyncIterator[int]:
    try:
        server = MetricsServer(settings.host, settings.metrics_port, metrics.registry)
    except OSError as error:
        raise _cannot_listen(settings, "metrics_port", error) from error
    try:
        yield server.port
    finally:
        await asyncio.to_thread(server.close)


def _cannot_listen(settings: GatewaySettings, setting: str, error: Exception) -> OSError:
    port = getattr(settings, setting)
    return OSError(f"cannot listen on {settings.host}:{port} ({error}); choose another port with {variable(setting)}")


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> AsyncIterator[None]:
    """Does work that has no end of its own: enters when the event is set, and goes on with it until the context ends.

    Raises:
        Exception: what the work raised before.
    """
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        yield
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def _changed(
    catalog: Catalog, health: Health, ports: BoundPorts, ready: Callable[[BoundPorts], None] | None
) -> Callable[[], Coroutine[Any, Any, None]]:
    told = ready is None

    async def call() -> None:
        nonlocal told
        await health.update()
        if ready is not None and not told and all(served.ready for served in catalog):
            told = True
            ready(ports)

    return call
