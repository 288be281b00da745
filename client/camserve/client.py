"""The client of a camserve server."""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc
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


class ExplanationClient:
    """Asks a camserve server for predictions and the heatmaps that explain them.

    One client may be shared by many threads. Every call has a deadline. Calls that met no server (UNAVAILABLE) are
    retried within it, others never. Errors are those of ``camserve.errors``. Where OpenTelemetry is installed and a
    span is open, calls carry its trace context.

    Examples:
        >>> with ExplanationClient("localhost:50051") as client:
        ...     result = client.explain("cat.jpg", model="scenes-classifier", target="circle")
        ...     result.explanation.overlay("overlay.png")
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        token: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """Opens a channel, which connects when it is first used.

        Args:
            address: host and port of the server; any gRPC target, such as ``dns:///camserve:50051``; or several IP
                addresses with their ports, between commas. Calls go to all of several replicas in turn.
            credentials: for TLS, as `tls_credentials` or ``grpc.ssl_channel_credentials()`` make them; None: no
                encryption.
            token: the caller's, for a server that asks for one; it goes over encrypted connections or to this machine.
            timeout: seconds that a call may take, retries included, where the call says nothing else.

        Raises:
            ValueError: the timeout is not above 0, of several addresses one is no IP address, or the token would go
                over an open connection.
        """
        target = channel_target(address)
        self._address = address
        self._timeout = checked_timeout(timeout)
        self._metadata = CallMetadata(token, address, encrypted=credentials is not None)
        self._channel = (
            grpc.secure_channel(target, credentials, options=CHANNEL_OPTIONS)
            if credentials
            else grpc.insecure_channel(target, options=CHANNEL_OPTIONS)
        )
        self._stub = ExplanationServiceStub(self._channel)

    def explain(
        self,
        image: ImageSource,
        *,
        timeout: float | None = None,
        **arguments: Unpack[ExplainArguments],
    ) -> ExplainResult:
        """Explains an image.

        Args:
            image: an encoded image, the path of one, a Pillow image, or uint8 ``[H, W]``, ``[H, W, 3]`` RGB or
                ``[H, W, 4]`` RGBA. Pixels are sent as PNG, without loss.
            model: name of a model, as `models` gives it.
            version: its version; empty: the default one.
            target: what to explain: a class index, a class label, or a target built with ``class_target``, ``caption``
                or ``answer``; None: the model's own prediction.
            targets: the same, for several targets at once.
            method: id or alias of a method, such as ``grad-cam``; empty: the model's default.
            layers: dotted names of layers; none: the model's default.
            polarity: ``support`` for what speaks for the target, ``counter`` for what speaks against it.
            options: knobs of the method by name, such as ``{"steps": 50}``; ``budget`` is in seconds or a timedelta.
            renderings: further forms of each map, made by the server: names, or what ``rendering_request`` returns.
            faithfulness: also measure how good each map is, with tens of further forwards of the model.
            request_id: an id of your own for logs, at most 128 printable ASCII characters.
            timeout: seconds that the call may take, retries included; None: the client's.

        Returns:
            The prediction, and one explanation for each target in the order given.

        Raises:
            CamserveError: the server refused or failed, or none answered in time.
            OSError: the image cannot be read.
            TypeError, ValueError: an argument is not of the kinds above.
        """
        data = encode(image)
        request = explain_request(data, **arguments)
        return ExplainResult.from_proto(self._call(self._stub.Explain, request, timeout), data)

    def explain_progress(
        self,
        image: ImageSource,
        *,
        map_every: int = 0,
        timeout: float | None = None,
        **arguments: Unpack[ExplainArguments],
    ) -> Iterator[Progress | ExplainResult]:
        """Explains an image with a slow method, and tells how far it is.

        Stop iterating, and the method stops too.

        Args:
            image: as for `explain`.
            map_every: steps after which an event has maps again; 0: none has.
            timeout: seconds until the result, retries included; None: the client's. A method that has the option
                ``budget`` ends within them with the best map so far.
            **arguments: the other ones of `explain`.

        Returns:
            Events, a few times a second, and at the end the result; the result alone of methods that have no steps.

        Raises:
            CamserveError, OSError, TypeError, ValueError: as `explain`; the first also while iterating.
        """
        data = encode(image)
        request = pb.ExplainProgressRequest(request=explain_request(data, **arguments), map_every=map_every)
        seconds = self._timeout if timeout is None else checked_timeout(timeout)
        call = self._stub.ExplainProgress(request, timeout=seconds, metadata=self._metadata())
        return (event(response, data) for response in self._responses(call, seconds))

    def explain_stream(
        self, items: Iterable[pb.ExplainStreamRequest], *, timeout: float | None = None
    ) -> Iterator[StreamResult]:
        """Explains many images over one stream, as fast as the server can take them: a full one does not refuse.

        Args:
            items: what ``stream_item`` makes. They are taken in another thread, a few ahead of the results, so a
                generator need not hold all images in memory.
            timeout: seconds until the last result; None: no bound.

        Returns:
            The results as they come, in any order; each tells of its own failure.

        Raises:
            CamserveError: the server failed, stopped or cannot be reached; while iterating. Items without a result may
                be sent again.
            Exception: what the iterable raised, after the results of what it had given.
            ValueError: the timeout is not above 0.
        """
        bulk = Bulk()
        seconds = None if timeout is None else checked_timeout(timeout)
        call = self._stub.ExplainStream(bulk.requests(items), timeout=seconds, metadata=self._metadata())
        return self._results(bulk, call, seconds)

    def predict(
        self,
        image: ImageSource,
        *,
        model: str,
        version: str = "",
        top_k: int | None = None,
        question: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> PredictResult:
        """Predicts without explaining.

        Args:
            image: as for `explain`.
            model: name of a model, as `models` gives it.
            version: its version; empty: the default one.
            top_k: how many predictions to return, 1 to 100; None: the server's default, 5.
            question: the question to answer; needed by answerers, refused by others.
            request_id: an id of your own for logs, at most 128 printable ASCII characters.
            timeout: seconds that the call may take, retries included; None: the client's.

        Raises:
            CamserveError, OSError, TypeError, ValueError: as `explain`.
        """
        request = pb.PredictRequest(
            model=model, version=version, image=encode(image), top_k=top_k, question=question, request_id=request_id
        )
        return PredictResult.from_proto(self._call(self._stub.Predict, request, timeout))

    def models(self, task: Task | None = None, *, timeout: float | None = None) -> tuple[Model, ...]:
        """Every version of every model that the server has, or of those of one task.

        Raises:
            CamserveError: the server refused or failed, or none answered in time.
            ValueError: there is no such task.
        """
        response = self._call(self._stub.ListModels, list_models_request(task), timeout)
        return tuple(map(Model.from_proto, response.models))

    def server_version(self, *, timeout: float | None = None) -> str:
        """The version of the server's software; empty if it is too old to tell.

        Raises:
            CamserveError: the server refused or failed, or none answered in time.
        """
        return self._call(self._stub.ListModels, list_models_request(None), timeout).server_version

    def model(self, name: str, version: str = "", *, timeout: float | None = None) -> Model:
        """One model; the default version if none is named.

        Raises:
            CamserveError: there is no such model, the server failed, or none answered in time.
        """
        request = pb.GetModelRequest(name=name, version=version)
        return Model.from_proto(self._call(self._stub.GetModel, request, timeout).model)

    def close(self) -> None:
        """Closes the channel; calls under way are cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _results(
        self, bulk: Bulk, call: "grpc._CallIterator[pb.ExplainStreamResponse]", seconds: float | None
    ) -> Iterator[StreamResult]:
        for response in self._responses(call, seconds):
            yield bulk.result(response)
        if bulk.failure is not None:
            raise bulk.failure

    def _responses(self, call: "grpc._CallIterator[_Response]", seconds: float | None) -> Iterator[_Response]:
        """The responses of a stream, which ends when nobody wants more of them."""
        try:
            yield from call
        except grpc.RpcError as error:
            raise call_error(error, self._address, seconds) from error
        finally:
            call.cancel()

    def _call(
        self, method: "grpc.UnaryUnaryMultiCallable[_Request, _Response]", request: _Request, timeout: float | None
    ) -> _Response:
        seconds = self._timeout if timeout is None else checked_timeout(timeout)
        try:
            return method(request, timeout=seconds, metadata=self._metadata())
        except grpc.RpcError as error:
            raise call_error(error, self._address, seconds) from error
