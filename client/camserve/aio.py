"""The asyncio client of a camserve server."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc
import grpc.aio
from google.protobuf.message import Message

from camserve.bulk import Bulk, StreamResult
from camserve.channel import (
    CHANNEL_OPTIONS,
    DEFAULT_ADDRESS,
    DEFAULT_TIMEOUT,
    call_error,
    channel_target,
    checked_timeout,
)
from camserve.metadata import CallMetadata
from camserve.models import Model
from camserve.progress import Progress, event
from camserve.requests import (
    ExplainArguments,
    Task,
    explain_request,
    list_models_request,
)
from camserve.results import ExplainResult, PredictResult
from camserve.source import ImageSource, encode
from camserve.v1 import explanation_pb2 as pb
from camserve.v1.explanation_pb2_grpc import ExplanationServiceStub

_Request = TypeVar("_Request", bound=Message)
_Response = TypeVar("_Response", bound=Message)


class AsyncExplanationClient:
    """`ExplanationClient` for asyncio: the same methods, awaited.

    Make and use it inside one running event loop. Files are read, and pixels encoded, on the loop: where that counts,
    pass encoded bytes.

    Examples:
        >>> async with AsyncExplanationClient("localhost:50051") as client:
        ...     calls = [client.explain(data, model="scenes-classifier") for data in images]
        ...     results = await asyncio.gather(*calls)
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        token: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """As `ExplanationClient`."""
        target = channel_target(address)
        self._address = address
        self._timeout = checked_timeout(timeout)
        self._metadata = CallMetadata(token, address, encrypted=credentials is not None)
        self._channel = (
            grpc.aio.secure_channel(target, credentials, options=CHANNEL_OPTIONS)
            if credentials
            else grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
        )
        self._stub = ExplanationServiceStub(self._channel)

    async def explain(
        self,
        image: ImageSource,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it becomes the call's deadline, which the server sees
        **arguments: Unpack[ExplainArguments],
    ) -> ExplainResult:
        """Explains an image; see `ExplanationClient.explain`."""
        data = encode(image)
        request = explain_request(data, **arguments)
        return ExplainResult.from_proto(await self._call(self._stub.Explain, request, timeout), data)

    async def explain_progress(
        self,
        image: ImageSource,
        *,
        map_every: int = 0,
        timeout: float | None = None,  # noqa: ASYNC109
        **arguments: Unpack[ExplainArguments],
    ) -> AsyncGenerator[Progress | ExplainResult, None]:
        """Explains an image and tells how far it is; see `ExplanationClient.explain_progress`."""
        data = encode(image)
        request = pb.ExplainProgressRequest(request=explain_request(data, **arguments), map_every=map_every)
        seconds = self._timeout if timeout is None else checked_timeout(timeout)
        call = self._stub.ExplainProgress(request, timeout=seconds, metadata=self._metadata())
        async with aclosing(self._responses(call, seconds)) as responses:
            async for response in responses:
                yield event(response, data)

    async def explain_stream(
        self,
        items: Iterable[pb.ExplainStreamRequest] | AsyncIterable[pb.ExplainStreamRequest],
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> AsyncGenerator[StreamResult, None]:
        """Explains many images over one stream; see `ExplanationClient.explain_stream`.

        Items are taken on the event loop.
        """
        bulk = Bulk()
        seconds = None if timeout is None else checked_timeout(timeout)
        call = self._stub.ExplainStream(bulk.async_requests(items), timeout=seconds, metadata=self._metadata())
        async with aclosing(self._responses(call, seconds)) as responses:
            async for response in responses:
                yield bulk.result(response)
        if bulk.failure is not None:
            raise bulk.failure

    async def predict(
        self,
        image: ImageSource,
        *,
        model: str,
        version: str = "",
        top_k: int | None = None,
        question: str = "",
        request_id: str = "",
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> PredictResult:
        """Predicts without explaining; see `ExplanationClient.predict`."""
        request = pb.PredictRequest(
            model=model, version=version, image=encode(image), top_k=top_k, question=question, request_id=request_id
        )
        return PredictResult.from_proto(await self._call(self._stub.Predict, request, timeout))

    async def models(
        self,
        task: Task | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> tuple[Model, ...]:
        """The models that the server has; see `ExplanationClient.models`."""
        response = await self._call(self._stub.ListModels, list_models_request(task), timeout)
        return tuple(map(Model.from_proto, response.models))

    async def server_version(self, *, timeout: float | None = None) -> str:  # noqa: ASYNC109
        """As ``ExplanationClient.server_version``."""
        response = await self._call(self._stub.ListModels, list_models_request(None), timeout)
        return response.server_version

    async def model(
        self,
        name: str,
        version: str = "",
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Model:
        """One model; see `ExplanationClient.model`."""
        response = await self._call(self._stub.GetModel, pb.GetModelRequest(name=name, version=version), timeout)
        return Model.from_proto(response.model)

    async def close(self) -> None:
        """Closes the channel; calls under way are cancelled."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _responses(
        self,
        call: "grpc.aio.UnaryStreamCall[_Request, _Response] | grpc.aio.StreamStreamCall[_Request, _Response]",
        seconds: float | None,
    ) -> AsyncGenerator[_Response, None]:
        """The responses of a stream, which ends when nobody wants more of them."""
        try:
            async for response in call:
                yield response
        except grpc.RpcError as error:
            raise call_error(error, self._address, seconds) from error
        finally:
            call.cancel()

    async def _call(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[_Request, _Response]",
        request: _Request,
        timeout: float | None,  # noqa: ASYNC109
    ) -> _Response:
        seconds = self._timeout if timeout is None else checked_timeout(timeout)
        try:
            return await method(request, timeout=seconds, metadata=self._metadata())
        except grpc.RpcError as error:
            raise call_error(error, self._address, seconds) from error
