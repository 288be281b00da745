"""A small gRPC server that plays TorchServe with one model."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import grpc
import numpy as np

from camserve.errors import InternalError
from camserve.image import read_header
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2
from gateway.torchserve import inference_pb2, management_pb2
from gateway.upstream import ModelRef, TorchServeAddresses

REF = ModelRef("shapes", "1")
MAP = np.array([[0.0, 1.0], [2.0, 3.0]], dtype="<f4")

MODEL = pb.Model(
    name="shapes",
    version="1",
    task=pb.TASK_CLASSIFY,
    labels=["circle", "square", "star", "Star"],
    input_size=pb.ImageSize(height=8, width=8),
    layers=["stem", "trunk"],
    default_layers=["trunk"],
    methods=[
        pb.Method(id="grad-cam", aliases=["gradcam"]),
        pb.Method(
            id="opti-cam",
            options=[
                pb.MethodOption(name="steps", minimum=1, maximum=500),
                pb.MethodOption(name="learning_rate", minimum=0.001, maximum=10),
                pb.MethodOption(name="objective", choices=["probability", "logit"]),
                pb.MethodOption(name="budget"),
            ],
        ),
    ],
    default_method="grad-cam",
    limits=pb.Limits(
        max_image_pixels=1_000_000,
        min_image_side=16,
        max_image_side=2000,
        max_aspect_ratio=50,
        max_targets=4,
        max_layers=2,
        max_text_length=20,
    ),
)


class FakeTorchServe:
    """Answers DescribeModel, Predictions and StreamPredictions as TorchServe with one model does.

    Attributes:
        model: how the model describes itself.
        workers: ready workers that it counts.
        processes: of workers by number, where they are not the first ones.
        packs: the packs of items that reached it.
        progress: what watched runs tell of before they wait.
        watched: the watched work that reached it.
        describes: how many descriptions were asked for.
        looks: how often it was asked for its workers.
        description: what these are answered with, instead of the model.
        open: runs wait while it is cleared.
        failures: statuses that the next runs end with.
        answer: makes the result of an item.
        reply: what every run replies, instead of the items' results.
        cancelled: runs that were cancelled.
    """

    def __init__(self, model: pb.Model = MODEL) -> None:
        self.model = model
        self._arrived = asyncio.Condition()
        self.reset()

    def reset(self) -> None:
        """Forgets what was seen and scripted."""
        self.workers = 1
        self.processes: dict[int, int] = {}
        self.packs: list[list[worker_pb2.Item]] = []
        self.progress: list[pb.Progress] = []
        self.watched: list[worker_pb2.Watched] = []
        self.describes = 0
        self.looks = 0
        self.description: worker_pb2.PackResult | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.failures: deque[tuple[grpc.StatusCode, str]] = deque()
        self.answer: Callable[[worker_pb2.Item], worker_pb2.ItemResult] = answer
        self.reply: worker_pb2.PackResult | bytes | None = None
        self.cancelled = 0

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "org.pytorch.serve.grpc.inference.InferenceAPIsService",
                    {
                        "Predictions": grpc.unary_unary_rpc_method_handler(
                            self._predictions,
                            inference_pb2.PredictionsRequest.FromString,
                            inference_pb2.PredictionResponse.SerializeToString,
                        ),
                        "StreamPredictions": grpc.unary_stream_rpc_method_handler(
                            self._stream_predictions,
                            inference_pb2.PredictionsRequest.FromString,
                            inference_pb2.PredictionResponse.SerializeToString,
                        ),
                    },
                ),
                grpc.method_handlers_generic_handler(
                    "org.pytorch.serve.grpc.management.ManagementAPIsService",
                    {
                        "DescribeModel": grpc.unary_unary_rpc_method_handler(
                            self._describe,
                            management_pb2.DescribeModelRequest.FromString,
                            management_pb2.ManagementResponse.SerializeToString,
                        )
                    },
                ),
            )
        )
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.addresses = TorchServeAddresses(f"127.0.0.1:{port}", f"127.0.0.1:{port}")
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.open.set()
        await self._server.stop(5)

    async def arrived(self, packs: int) -> None:
        """Waits until so many packs have reached it."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.packs) >= packs)

    async def looked_twice(self) -> None:
        """Waits until somebody has looked at the workers twice, so that the first look has been made use of."""
        before = self.looks
        while self.looks < before + 2:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)

    async def _describe(self, _request: management_pb2.DescribeModelRequest, _context: Any) -> Any:
        self.looks += 1
        statuses = ["READY"] * self.workers or ["UNLOADING"]
        workers = [
            {"id": str(9000 + number), "status": status, "pid": self.processes.get(number, 100 + number)}
            for number, status in enumerate(statuses)
        ]
        msg = json.dumps([{"modelName": self.model.name, "minWorkers": len(statuses), "workers": workers}])
        return management_pb2.ManagementResponse(msg=msg)

    async def _predictions(self, request: inference_pb2.PredictionsRequest, context: Any) -> Any:
        pack = worker_pb2.Pack.FromString(request.input["pack"])
        if pack.WhichOneof("work") == "describe":
            self.describes += 1
            return _reply(self.description or worker_pb2.PackResult(model=self.model))
        return await self._answered(list(pack.items.items), context)

    async def _stream_predictions(
        self, request: inference_pb2.PredictionsRequest, context: Any
    ) -> AsyncIterator[inference_pb2.PredictionResponse]:
        pack = worker_pb2.Pack.FromString(request.input["pack"])
        assert pack.WhichOneof("work") == "watched"
        self.watched.append(pack.watched)
        for progress in self.progress:
            yield _reply(worker_pb2.PackResult(progress=progress))
        yield await self._answered([pack.watched.item], context)

    async def _answered(self, items: list[worker_pb2.Item], context: Any) -> inference_pb2.PredictionResponse:
        async with self._arrived:
            self.packs.append(items)
            self._arrived.notify_all()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failures:
            await context.abort(*self.failures.popleft())
        if self.reply is not None:
            return _reply(self.reply)
        results = [self.answer(item) for item in items]
        return _reply(worker_pb2.PackResult(items=worker_pb2.ItemResults(results=results)))


def answer(item: worker_pb2.Item) -> worker_pb2.ItemResult:
    """What a worker makes of an item: class 2 with the map `MAP` over the whole image for each target."""
    image = item.explain.image or item.predict.image
    header = read_header(image)
    size = pb.ImageSize(height=header.height, width=header.width)
    prediction = pb.Prediction(class_prediction=pb.ClassPrediction(index=2, label="star", probability=0.9))
    timing = pb.Timing()
    timing.decode.FromMilliseconds(1)
    if item.WhichOneof("request") == "predict":
        return worker_pb2.ItemResult(
            predict=pb.PredictResponse(predictions=[prediction], image_size=size, timing=timing)
        )
    explanation = pb.Explanation(heatmap=heatmap(MAP, pb.Box(right=header.width, bottom=header.height)))
    count = max(len(item.explain.targets), 1)
    response = pb.ExplainResponse(
        predictions=[prediction], explanations=[explanation] * count, image_size=size, timing=timing
    )
    return worker_pb2.ItemResult(explain=response)


def heatmap(values: np.ndarray[Any, np.dtype[np.float32]], box: pb.Box) -> pb.Heatmap:
    """A map of a response."""
    return pb.Heatmap(height=values.shape[0], width=values.shape[1], data=values.tobytes(), box=box)


def item_error(_item: worker_pb2.Item) -> worker_pb2.ItemResult:
    """A worker's answer to an item that it cannot answer."""
    return worker_pb2.ItemResult(error=InternalError("broken", "WORKER_FAILED").to_status())


def _reply(result: worker_pb2.PackResult | bytes) -> inference_pb2.PredictionResponse:
    data = result if isinstance(result, bytes) else result.SerializeToString()
    return inference_pb2.PredictionResponse(prediction=data)
