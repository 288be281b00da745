"""A running gateway as tests see it: its ports and a channel to it."""

import asyncio
import io
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image

from camserve.errors import CamserveError, from_status
from camserve.v1 import explanation_pb2_grpc
from gateway.server import BoundPorts, serve
from gateway.settings import GatewaySettings
from gateway.succession import Succession
from tests.gateway.torchserve import REF, FakeTorchServe

SETTINGS = GatewaySettings(port=0, metrics_port=0, poll_interval=0.02)


def picture(width: int = 32, height: int = 24, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (10, 200, 30)).save(stream, kind)
    return stream.getvalue()


async def until(true: Callable[[], bool]) -> None:
    """Waits until something is so; a test that waits in vain is ended by its own timeout."""
    while not true():  # noqa: ASYNC110 - what is waited for sets no event
        await asyncio.sleep(0.001)


class Gateway:
    """A running gateway and its callers."""

    def __init__(self, ports: BoundPorts, stop: asyncio.Event, running: asyncio.Task[None]) -> None:
        self.ports = ports
        self.stop = stop
        self.running = running
        options = [("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
        self.channel = grpc.aio.insecure_channel(f"localhost:{ports.grpc}", options=options)
        self.stub: Any = explanation_pb2_grpc.ExplanationServiceStub(self.channel)
        self._health: Any = health_pb2_grpc.HealthStub(self.channel)

    async def healthy(self, service: str = "") -> bool:
        reply = await self._health.Check(health_pb2.HealthCheckRequest(service=service))
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    async def metrics_text(self, form: str = "text/plain") -> str:
        """``/metrics`` in one of its forms."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports.metrics}/metrics", headers={"Accept": form})
        return await asyncio.to_thread(lambda: urllib.request.urlopen(request).read().decode())  # noqa: S310

    async def metrics(self) -> dict[str, float]:
        """The samples of ``/metrics`` by name and labels, as they are written."""
        text = await self.metrics_text()
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {sample: float(value) for sample, _, value in lines}


@asynccontextmanager
async def running_gateway(
    torchserve: FakeTorchServe, settings: GatewaySettings = SETTINGS, succession: Succession | None = None
) -> AsyncIterator[Gateway]:
    """A gateway that is ready to answer, stopped at the end."""
    ready: asyncio.Future[BoundPorts] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    running = asyncio.create_task(
        serve(settings, torchserve.addresses, [REF], ready=ready.set_result, stop=stop, succession=succession)
    )
    await asyncio.wait((ready, running), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    gateway = Gateway(ready.result(), stop, running)
    try:
        yield gateway
    finally:
        await gateway.channel.close()
        torchserve.open.set()
        stop.set()
        await running


async def refused(call: Awaitable[Any]) -> CamserveError:
    """The error that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = caught.value
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    assert details is not None, error
    status = status_pb2.Status.FromString(details)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return from_status(status)
