"""Calls to a running service: one after the other, and from many callers at once."""

import asyncio
import io
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import psutil
from PIL import Image

from benchmarks.timing import Times, turns
from camserve.v1 import explanation_pb2 as pb
from camserve.v1.explanation_pb2_grpc import ExplanationServiceStub
from camserve.worker.v1 import worker_pb2 as wire
from gateway.launcher.server import Server
from gateway.torchserve import inference_pb2
from model_store.scenes.demo import demo_scenes
from model_store.scenes.drawing import draw

AsyncCall = Callable[[], Awaitable[object]]


def photo(width: int = 640, height: int = 480) -> bytes:
    """A JPEG of a scene."""
    file = io.BytesIO()
    Image.fromarray(draw(demo_scenes()[0][1], width, height)).save(file, "JPEG", quality=90)
    return file.getvalue()


class Service:
    """A server's gRPC services, to be used in an ``async with``."""

    def __init__(self, server: Server) -> None:
        self._front = grpc.aio.insecure_channel(server.address)
        self._back = grpc.aio.insecure_channel(_torchserve_address(server))
        self._stub = ExplanationServiceStub(self._front)
        self._predictions = self._back.unary_unary(
            "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions",
            request_serializer=inference_pb2.PredictionsRequest.SerializeToString,
            response_deserializer=inference_pb2.PredictionResponse.FromString,
        )

    async def __aenter__(self) -> "Service":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._front.close()
        await self._back.close()

    def explain(self, request: pb.ExplainRequest) -> AsyncCall:
        """A call for an explanation."""
        return lambda: self._stub.Explain(request)

    def predict(self, request: pb.PredictRequest) -> AsyncCall:
        """A call for a prediction."""
        return lambda: self._stub.Predict(request)

    def past_the_gateway(self, request: pb.ExplainRequest) -> AsyncCall:
        """The same explanation, straight from TorchServe."""
        pack = wire.Pack(items=wire.Items(items=[wire.Item(explain=request)])).SerializeToString()
        run = inference_pb2.PredictionsRequest(model_name=request.model, input={"pack": pack})

        async def call() -> wire.PackResult:
            return wire.PackResult.FromString((await self._predictions(run)).prediction)

        return call


async def in_turn(calls: dict[str, AsyncCall], rounds: int, warm_up: int = 3) -> dict[str, Times]:
    """As :func:`benchmarks.timing.in_turn`, for calls that are awaited."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn, name in turns(list(calls), warm_up + rounds):
        start = time.perf_counter()
        await calls[name]()
        if turn >= warm_up:
            taken[name].append(time.perf_counter() - start)
    return {name: Times(tuple(values)) for name, values in taken.items()}


async def at_once(call: AsyncCall, callers: int, seconds: float) -> tuple[float, Times]:
    """Callers who each call again as soon as they have their answer.

    Returns:
        Answers per second, and the latencies of all of them.
    """
    taken: list[float] = []
    start = time.perf_counter()

    async def caller() -> None:
        while time.perf_counter() < start + seconds:
            began = time.perf_counter()
            await call()
            taken.append(time.perf_counter() - began)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return len(taken) / (time.perf_counter() - start), Times(tuple(taken))


def workers(server: Server) -> list[psutil.Process]:
    """The processes that run models."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    return [child for child in children if any("model_service_worker" in word for word in child.cmdline())]


def _torchserve_address(server: Server) -> str:
    """Where the server's TorchServe listens for runs, from the configuration that it was started with."""
    for process in psutil.Process(server.process.pid).children(recursive=True):
        words = process.cmdline()
        if "org.pytorch.serve.ModelServer" in words and "-f" in words:
            lines = Path(words[words.index("-f") + 1]).read_text().splitlines()
            properties = dict(line.split("=", 1) for line in lines)
            return f"127.0.0.1:{properties['grpc_inference_port']}"
    raise RuntimeError("the server runs no TorchServe")
