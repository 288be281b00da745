"""The servicer of ``camserve.v1.ExplanationService``."""

import asyncio
import math
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from importlib.metadata import version
from pathlib import Path

from google.protobuf.duration_pb2 import Duration

from camserve.errors import InvalidArgumentError, from_status
from camserve.v1 import explanation_pb2 as pb
from camserve.v1 import explanation_pb2_grpc
from camserve.worker.v1 import worker_pb2
from gateway.access.allowance import CALLER
from gateway.admission.admission import Admission, Admitted
from gateway.admission.ids import identifier
from gateway.bulk import BulkStream
from gateway.call import current
from gateway.call_log import CallLog
from gateway.catalog import Catalog
from gateway.interceptor import Context
from gateway.metrics import Metrics
from gateway.output import Renderer
from gateway.queue import Answer
from gateway.settings import GatewaySettings
from gateway.tracing import Tracing
from gateway.watch import Watch

SERVICE: str = pb.DESCRIPTOR.services_by_name["ExplanationService"].full_name


_IN_TURN = ("queue", "upstream", "render")
"""Stages of which one begins when the other ends."""


class ExplanationService(explanation_pb2_grpc.ExplanationServiceServicer):
    """Admits requests, has them answered, renders and accounts; raises errors of camserve."""

    def __init__(
        self,
        catalog: Catalog,
        settings: GatewaySettings,
        metrics: Metrics,
        *,
        tracing: Tracing,
        call_log: CallLog,
        render_pool: ThreadPoolExecutor,
        closing: asyncio.Event,
        folder: Path,
    ) -> None:
        """Takes what it works with.

        Args:
            catalog: the models.
            settings: what it takes on.
            metrics: where it accounts.
            tracing: adds spans to the callers' traces.
            call_log: logs items of streams.
            render_pool: renders maps.
            closing: set when the server stops.
            folder: for signs to the workers; see `Watch`.
        """
        self._catalog = catalog
        self._settings = settings
        self._metrics = metrics
        self._tracing = tracing
        self._call_log = call_log
        self._render_pool = render_pool
        self._closing = closing
        self._folder = folder
        self._admission = Admission(catalog, settings)

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> pb.ExplainResponse:  # noqa: N802
        """Explains one image."""
        return await self._explain(request, self._deadline(context))

    async def ExplainStream(  # noqa: N802
        self, requests: AsyncIterator[pb.ExplainStreamRequest], context: Context
    ) -> AsyncGenerator[pb.ExplainStreamResponse, None]:
        """Explains many images."""
        remaining: float | None = context.time_remaining()
        deadline = float("inf") if remaining is None else time.monotonic() + remaining

        async def answer(request: pb.ExplainRequest) -> pb.ExplainResponse:
            return await self._explain(request, deadline, bulk=True)

        stream = BulkStream(
            answer,
            self._settings.stream_items,
            self._closing,
            metrics=self._metrics,
            tracing=self._tracing,
            call_log=self._call_log,
        )
        async with aclosing(stream.responses(requests)) as responses:
            async for response in responses:
                yield response

    async def ExplainProgress(  # noqa: N802
        self, request: pb.ExplainProgressRequest, context: Context
    ) -> AsyncGenerator[pb.ExplainProgressResponse, None]:
        """Explains one image and tells how far it is."""
        watch = Watch(self._folder, request.map_every)
        explaining = asyncio.create_task(self._explain(request.request, self._deadline(context), watch=watch))
        try:
            async for progress in watch.until(explaining):
                yield pb.ExplainProgressResponse(progress=progress)
            yield pb.ExplainProgressResponse(response=await explaining)
        finally:
            explaining.cancel()

    async def Predict(self, request: pb.PredictRequest, context: Context) -> pb.PredictResponse:  # noqa: N802
        """Predicts without explaining."""
        arrival = time.monotonic()
        _name(request)
        admitted = self._admission.predict(request)
        answer = await self._answer(admitted, request, self._deadline(context))
        response = answer.result.predict
        self._finish(response, request.request_id, admitted, answer, arrival)
        return response

    async def ListModels(self, request: pb.ListModelsRequest, _context: Context) -> pb.ListModelsResponse:  # noqa: N802
        """Lists the models that are served."""
        if request.task not in pb.Task.values():
            text = f"task is {request.task}, which is no task; leave it out for all models"
            raise InvalidArgumentError(text, "TASK_UNKNOWN", field="task")
        models = (served.describe() for served in self._catalog)
        wanted = (model for model in models if request.task in (0, model.task))
        return pb.ListModelsResponse(models=wanted, server_version=version("camserve-server"))

    async def GetModel(self, request: pb.GetModelRequest, _context: Context) -> pb.GetModelResponse:  # noqa: N802
        """Describes one model."""
        if not request.name:
            text = "name is empty; name a model, as ListModels gives it"
            raise InvalidArgumentError(text, "MODEL_REQUIRED", field="name")
        return pb.GetModelResponse(model=self._catalog.find(request.name, request.version, field="name").describe())

    def _deadline(self, context: Context) -> float:
        """When the call must have been answered, on the clock of ``time.monotonic``."""
        remaining: float | None = context.time_remaining()
        wanted = self._settings.default_deadline if remaining is None else remaining
        return time.monotonic() + min(wanted, self._settings.max_deadline)

    async def _explain(
        self, request: pb.ExplainRequest, deadline: float, *, watch: Watch | None = None, bulk: bool = False
    ) -> pb.ExplainResponse:
        """Explains one image by a deadline; one of a bulk waits for a place in the queue."""
        arrival = time.monotonic()
        _name(request)
        admitted = self._admission.explain(request)
        forms = list(request.output.renderings)
        request.ClearField("output")  # the worker makes native maps only
        answer = await self._answer(admitted, request, deadline, watch=watch, bulk=bulk)
        response = answer.result.explain
        if forms:
            start = time.monotonic()
            renderer = Renderer(request.image, admitted.card.image_limits, admitted.card.model.input_size)
            await asyncio.get_running_loop().run_in_executor(self._render_pool, renderer.render, response, forms)
            _set(response.timing.render, time.monotonic() - start)
        self._finish(response, request.request_id, admitted, answer, arrival)
        kind = response.model, admitted.card.task, admitted.method
        for explanation in response.explanations:
            self._metrics.observe_map(*kind, (warning.code for warning in explanation.warnings))
            if explanation.HasField("faithfulness"):
                self._metrics.observe_faithfulness(*kind, _shares(explanation.faithfulness))
        return response

    async def _answer(
        self,
        admitted: Admitted,
        request: pb.ExplainRequest | pb.PredictRequest,
        deadline: float,
        *,
        watch: Watch | None = None,
        bulk: bool = False,
    ) -> Answer:
        call = current()
        call.model, call.method = str(admitted.served.ref), admitted.method
        request.request_id = call.request_id
        self._metrics.image_bytes(admitted.served.ref.name).observe(len(request.image))
        if isinstance(request, pb.ExplainRequest):
            item = worker_pb2.Item(explain=request)
        else:
            item = worker_pb2.Item(predict=request)
        item.traceparent = str(call.trace or "")
        queue, allowance = admitted.served.queue, CALLER.get()
        with admitted.served.held():
            if bulk:
                await allowance.room(admitted.cost)
            with allowance.use(admitted.cost):
                if bulk:
                    await queue.room(item.ByteSize(), admitted.cost)
                    deadline = min(deadline, time.monotonic() + self._settings.max_deadline)
                answer = await queue.submit(item, deadline, watch, admitted.cost)
        if answer.result.WhichOneof("result") == "error":
            raise from_status(answer.result.error)
        return answer

    def _finish(
        self,
        response: pb.ExplainResponse | pb.PredictResponse,
        request_id: str,
        admitted: Admitted,
        answer: Answer,
        arrival: float,
    ) -> None:
        """Fills in what only the gateway knows, and accounts for the time."""
        model = admitted.served.ref
        response.model, response.version = model.name, model.version
        response.request_id = request_id
        timing = response.timing
        timing.pack_size = answer.pack_size
        now = time.monotonic()
        _set(timing.queue, answer.queued)
        _set(timing.upstream, answer.upstream)
        _set(timing.total, now - arrival)
        stages = _stages(timing)
        self._metrics.observe_stages(model.name, admitted.card.task, admitted.method, stages)
        self._tracing.stages({name: stages[name] for name in _IN_TURN if name in stages}, now - arrival)


def _name(request: pb.ExplainRequest | pb.PredictRequest) -> None:
    """Gives the call its request's id, or one of ours; not one that is no id, which admission will refuse."""
    if not any(identifier(request.request_id, "request_id", "")):
        current().request_id = request.request_id or uuid.uuid4().hex


def _stages(timing: pb.Timing) -> Mapping[str, float]:
    return {
        field.name: value.ToNanoseconds() / 1e9 for field, value in timing.ListFields() if field.name != "pack_size"
    }


def _shares(figures: pb.Faithfulness) -> Mapping[str, float]:
    """Figures as shares of 1, by name; without those that are not numbers."""
    shares = {
        "average_drop": figures.average_drop / 100,
        "average_gain": figures.average_gain / 100,
        "increase": float(figures.increase),
        "insertion_auc": figures.insertion_auc,
        "deletion_auc": figures.deletion_auc,
        "unseen_share": figures.unseen_share,
    }
    return {name: value for name, value in shares.items() if not math.isnan(value)}


def _set(duration: Duration, seconds: float) -> None:
    duration.FromNanoseconds(round(seconds * 1e9))
