"""The gateway's client of TorchServe.

TorchServe restarts a worker when a call to it is cancelled at the wrong moment, so calls that run a model are never
cancelled here and have no short deadline: they are detached from whoever waits for them.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import DecodeError

from camserve.errors import CamserveError, InternalError, UnavailableError, from_status
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2
from gateway.torchserve import inference_pb2, management_pb2

log = logging.getLogger(__name__)

Told = Callable[[pb.Progress], None]
"""Is told of the progress of a watched run."""

RETRY_AFTER = 1.0
"""Seconds after which a caller may try again when nothing could answer."""

_PACK = "pack"
_DESCRIBE_TIMEOUT = 30.0
_CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", 32 * 1024 * 1024),
    ("grpc.max_receive_message_length", 32 * 1024 * 1024),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


@dataclass(frozen=True)
class ModelRef:
    """A version of a model that TorchServe serves.

    Attributes:
        name: its name.
        version: its version.
        default: whether an empty version in a request means this one.
    """

    name: str
    version: str
    default: bool = True

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


@dataclass(frozen=True)
class TorchServeAddresses:
    """Where TorchServe's two gRPC services listen.

    Attributes:
        inference: host and port of the one that runs models.
        management: host and port of the one that describes them.
    """

    inference: str = "127.0.0.1:7070"
    management: str = "127.0.0.1:7071"


@dataclass(frozen=True)
class Workers:
    """The workers of a model.

    Attributes:
        ready: how many can take a run.
        wanted: how many there should be.
        processes: the process of each that has one, by the worker's id.
    """

    ready: int = 0
    wanted: int = 0
    processes: Mapping[str, int] = field(default_factory=dict)


class WorkerDiedError(InternalError):
    """The worker ended during the run: it crashed, was killed, or took longer than its response timeout."""

    def __init__(self) -> None:
        super().__init__("the model's worker crashed or ran out of time or memory on this request", "WORKER_CRASHED")


class TorchServe:
    """A TorchServe, over gRPC."""

    def __init__(self, addresses: TorchServeAddresses, run_timeout: float) -> None:
        """Takes the seconds after which a run is given up for lost."""
        self._inference = grpc.aio.insecure_channel(addresses.inference, options=_CHANNEL_OPTIONS)
        self._management = grpc.aio.insecure_channel(addresses.management, options=_CHANNEL_OPTIONS)
        self._run_timeout = run_timeout
        self._runs: set[asyncio.Task[worker_pb2.PackResult]] = set()
        self._predictions = self._inference.unary_unary(
            "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions",
            request_serializer=inference_pb2.PredictionsRequest.SerializeToString,
            response_deserializer=inference_pb2.PredictionResponse.FromString,
        )
        self._stream_predictions = self._inference.unary_stream(
            "/org.pytorch.serve.grpc.inference.InferenceAPIsService/StreamPredictions",
            request_serializer=inference_pb2.PredictionsRequest.SerializeToString,
            response_deserializer=inference_pb2.PredictionResponse.FromString,
        )
        self._describe_model = self._management.unary_unary(
            "/org.pytorch.serve.grpc.management.ManagementAPIsService/DescribeModel",
            request_serializer=management_pb2.DescribeModelRequest.SerializeToString,
            response_deserializer=management_pb2.ManagementResponse.FromString,
        )

    async def run(self, model: ModelRef, pack: worker_pb2.Pack, told: Told | None = None) -> worker_pb2.PackResult:
        """Has a worker answer a pack. Cancelling this wait does not cancel the run.

        Args:
            model: whose worker.
            pack: the work.
            told: is told of progress; given with work that is watched, and only then.

        Raises:
            WorkerDiedError: the worker ended during the run.
            UnavailableError: TorchServe or the model's workers cannot be reached now.
            CamserveError: the pack failed as a whole.
        """
        task = asyncio.create_task(self._run(model, pack, told))
        self._runs.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def workers(self, model: ModelRef) -> Workers:
        """Looks at the model's workers.

        Raises:
            CamserveError: TorchServe cannot be reached or does not know the model.
        """
        request = management_pb2.DescribeModelRequest(model_name=model.name, model_version=model.version)
        try:
            response = await self._describe_model(request, timeout=_DESCRIBE_TIMEOUT)
            (version,) = json.loads(response.msg)
            workers = version["workers"]
            return Workers(
                ready=sum(worker["status"] == "READY" for worker in workers),
                wanted=version["minWorkers"],
                processes={worker["id"]: worker["pid"] for worker in workers if worker["pid"] > 0},
            )
        except grpc.aio.AioRpcError as error:
            raise upstream_error(error.code(), error.details() or "") from error
        except (ValueError, TypeError, KeyError) as error:
            raise InternalError(
                "TorchServe's description of the model cannot be read", "UPSTREAM_UNREADABLE"
            ) from error

    async def settle(self, timeout: float) -> None:  # noqa: ASYNC109 - a wish, not a bound that is broken
        """Gives runs that nobody waits for any more the time to end, in seconds."""
        if self._runs:
            await asyncio.wait(self._runs, timeout=timeout)

    async def close(self) -> None:
        """Closes the connections."""
        await self._inference.close()
        await self._management.close()

    async def _run(self, model: ModelRef, pack: worker_pb2.Pack, told: Told | None) -> worker_pb2.PackResult:
        request = inference_pb2.PredictionsRequest(
            model_name=model.name, model_version=model.version, input={_PACK: pack.SerializeToString()}
        )
        try:
            if told is None:
                result = _parsed(await self._predictions(request, timeout=self._run_timeout))
            else:
                result = worker_pb2.PackResult()
                # Nothing may raise in this loop: to leave it early would cancel the call.
                async for response in self._stream_predictions(request, timeout=self._run_timeout):
                    result = _parsed(response)
                    if result.WhichOneof("result") == "progress":
                        told(result.progress)
        except grpc.aio.AioRpcError as error:
            log.warning("a run of %s failed: %s %r", model, error.code().name, error.details())
            raise upstream_error(error.code(), error.details() or "") from error
        if result.WhichOneof("result") == "error":
            raise from_status(result.error)
        return result

    def _forget(self, run: asyncio.Task[worker_pb2.PackResult]) -> None:
        self._runs.discard(run)
        if not run.cancelled():
            run.exception()  # marks it as seen, for runs that nobody waits for any more


def _parsed(response: inference_pb2.PredictionResponse) -> worker_pb2.PackResult:
    try:
        return worker_pb2.PackResult.FromString(response.prediction)
    except DecodeError:
        error = InternalError("the worker's reply cannot be read", "UPSTREAM_UNREADABLE")
        return worker_pb2.PackResult(error=error.to_status())


def upstream_error(code: grpc.StatusCode, details: str) -> CamserveError:
    """Says in camserve's terms what a status of TorchServe means, which its code alone often does not."""
    for text, error in _BY_TEXT:
        if text in details:
            return error()
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return _unavailable("the model server cannot be reached", "UPSTREAM_UNAVAILABLE")
    return InternalError("the model server failed on this request", "UPSTREAM_FAILED")


def _unavailable(message: str, reason: str) -> UnavailableError:
    return UnavailableError(f"{message}; try again later", reason, retry_after=RETRY_AFTER)


_BY_TEXT: tuple[tuple[str, Callable[[], CamserveError]], ...] = (
    ("Worker died", WorkerDiedError),
    ("no worker to serve", lambda: _unavailable("the model's workers are full or away", "WORKER_UNAVAILABLE")),
    ("Model not found", lambda: _unavailable("the model is not loaded", "MODEL_NOT_LOADED")),
    ("does not exist for model", lambda: _unavailable("the model's version is not loaded", "MODEL_NOT_LOADED")),
    # UNAVAILABLE to TorchServe, which has clients repeat a request that will fail again.
    ("Prediction failed", lambda: InternalError("the worker failed on this request", "WORKER_FAILED")),
    ("batch response mismatched", lambda: InternalError("the worker's reply was malformed", "WORKER_FAILED")),
    ("Out of resources", lambda: InternalError("the worker ran out of memory", "WORKER_OUT_OF_MEMORY")),
)
