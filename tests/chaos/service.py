"""The service under attack, as an operator sees it."""

import asyncio
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.launcher.server import Server
from tests.chaos.load import Caller

_PATIENCE_S = 120.0


class Service:
    """A running server with its processes, metrics and health.

    Attributes:
        server: the server.
        store: its model store.
        caller: calls it.
    """

    def __init__(self, server: Server, store: Path, caller: Caller) -> None:
        self.server, self.store, self.caller = server, store, caller
        self.root = psutil.Process(server.process.pid)

    def processes(self) -> list[psutil.Process]:
        """The server and all that it has started."""
        return [self.root, *self.root.children(recursive=True)]

    def workers(self, model: str = "") -> list[psutil.Process]:
        """The workers, or those of one model."""
        return [process for process in self._named("model_service_worker") if model in _model_of(process)]

    def java(self) -> psutil.Process:
        """TorchServe's frontend."""
        return self._named("org.pytorch.serve.ModelServer")[-1]

    async def healthy(self) -> bool:
        """What the health service says."""
        try:
            async with grpc.aio.insecure_channel(self.server.address) as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    async def until_healthy(self, wanted: bool = True) -> float:
        """Waits until health says so; returns the seconds."""
        start = time.monotonic()
        while await self.healthy() != wanted:
            if time.monotonic() - start > _PATIENCE_S:
                raise TimeoutError(f"health was not {wanted} within {_PATIENCE_S:g} s")
            await asyncio.sleep(0.02)
        return time.monotonic() - start

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have such labels."""
        url = f"http://{self.server.metrics_address}/metrics"
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=30).read().decode())
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.partition("{")[0].partition(" ")[0] == name and all(label in line for label in wanted)
        )

    def _named(self, text: str) -> list[psutil.Process]:
        return [process for process in self.processes() if text in _command(process)]


def _model_of(worker: psutil.Process) -> str:
    """The recipe of a worker's model, in whose folder it works; empty if the worker has just ended."""
    with suppress(psutil.Error, OSError):
        return (Path(worker.cwd()) / "recipe.yaml").read_text()
    return ""


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
