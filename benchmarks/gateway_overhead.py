"""What the gateway adds to TorchServe for one request alone, and what many callers get.

    python benchmarks/gateway_overhead.py [--requests N] [--callers N] [--json FILE]

The same picture goes to the same worker in turn: straight to TorchServe's gRPC port, and through the gateway.
"""

import argparse
import asyncio
import io
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import psutil
from PIL import Image

from camserve.v1 import explanation_pb2 as pb
from camserve.v1.explanation_pb2_grpc import ExplanationServiceStub
from camserve.worker.v1 import worker_pb2 as wire
from gateway.launcher.server import Server, run_server
from gateway.torchserve import inference_pb2
from model_store.scenes.demo import demo_scenes
from model_store.scenes.drawing import draw

MODEL = "scenes-classifier"
Call = Callable[[], Awaitable[object]]


def main() -> None:
    """Runs the benchmark and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=300, help="of each kind, alone (default: %(default)s)")
    parser.add_argument("--callers", type=int, default=64, help="at once, for the throughput (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    with run_server("--models", MODEL, log=sys.stderr) as server:
        figures = asyncio.run(measure(server, options.requests, options.callers))
    for name, value in figures.items():
        print(f"{name:<42} {value:8.2f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


async def measure(server: Server, requests: int, callers: int) -> dict[str, float]:
    """The figures by name; times in milliseconds."""
    request = pb.ExplainRequest(model=MODEL, image=picture())
    async with (
        grpc.aio.insecure_channel(server.address) as front,
        grpc.aio.insecure_channel(torchserve_address(server)) as back,
    ):
        explain = ExplanationServiceStub(front).Explain
        predictions = back.unary_unary(
            "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions",
            request_serializer=inference_pb2.PredictionsRequest.SerializeToString,
            response_deserializer=inference_pb2.PredictionResponse.FromString,
        )
        pack = wire.Pack(items=wire.Items(items=[wire.Item(explain=request)])).SerializeToString()

        async def direct() -> None:
            reply = await predictions(inference_pb2.PredictionsRequest(model_name=MODEL, input={"pack": pack}))
            wire.PackResult.FromString(reply.prediction)

        async def through() -> None:
            await explain(request)

        alone = await in_turn({"direct": direct, "gateway": through}, requests)
        start = time.perf_counter()
        rounds = 5
        for _ in range(rounds):
            await asyncio.gather(*(through() for _ in range(callers)))
        seconds = time.perf_counter() - start
    added = [b - a for a, b in zip(alone["direct"], alone["gateway"], strict=True)]
    return {
        "TorchServe alone, median ms": statistics.median(alone["direct"]),
        "through the gateway, median ms": statistics.median(alone["gateway"]),
        "added by the gateway, median ms": statistics.median(added),
        "added by the gateway, 90th percentile ms": statistics.quantiles(added, n=10)[-1],
        f"{callers} callers at once, requests per second": rounds * callers / seconds,
    }


async def in_turn(calls: dict[str, Call], times: int) -> dict[str, list[float]]:
    """Milliseconds of each call, made in turn so that all meet the same machine."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(times + 20):
        for name, call in calls.items():
            start = time.perf_counter()
            await call()
            if turn >= 20:  # the first ones warm up
                taken[name].append(1000 * (time.perf_counter() - start))
    return taken


def torchserve_address(server: Server) -> str:
    """Where the server's TorchServe listens for runs, from the configuration that it was started with."""
    for process in psutil.Process(server.process.pid).children(recursive=True):
        words = process.cmdline()
        if "org.pytorch.serve.ModelServer" in words and "-f" in words:
            lines = Path(words[words.index("-f") + 1]).read_text().splitlines()
            properties = dict(line.split("=", 1) for line in lines)
            return f"127.0.0.1:{properties['grpc_inference_port']}"
    raise RuntimeError("the server runs no TorchServe")


def picture() -> bytes:
    """A 640x480 JPEG of a scene."""
    file = io.BytesIO()
    Image.fromarray(draw(demo_scenes()[0][1], 640, 480)).save(file, "JPEG", quality=90)
    return file.getvalue()


if __name__ == "__main__":
    main()
