"""The models of one TorchServe and whether they can answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

from camserve.errors import CamserveError, InternalError, NotFoundError
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2
from gateway.admission.nearest import hint, shown
from gateway.card import Card
from gateway.metrics import Metrics, QueueMetrics
from gateway.queue import PackQueue, Run
from gateway.settings import GatewaySettings
from gateway.upstream import ModelRef, TorchServe, Workers

log = logging.getLogger(__name__)

_SOON = 0.2  # seconds until the next look at a model that is not ready, or whose workers are in doubt


class ServedModel:
    """A version of a model.

    Attributes:
        ref: which one.
        queue: where its requests wait.
        doubted: set when a run showed that the count of workers may be wrong.
        card: its description, from the time when a worker first gave it.
        workers: its workers as they were last seen.
    """

    def __init__(self, ref: ModelRef, run: Run, settings: GatewaySettings, metrics: QueueMetrics) -> None:
        self.ref = ref
        self.doubted = asyncio.Event()
        self.queue = PackQueue(run, settings, metrics, doubt=self.doubted.set)
        self.card: Card | None = None
        self.workers = Workers()
        self._holders = 0
        self._let_go = asyncio.Event()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps the model as long as a request is on its way through it."""
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            self._let_go.set()

    async def unheld(self) -> None:
        """Waits until no request is on its way through it."""
        while self._holders:
            self._let_go.clear()
            await self._let_go.wait()

    @property
    def ready(self) -> bool:
        """Whether it can answer now."""
        return self.workers.ready > 0

    def describe(self) -> pb.Model:
        """Its description as it is now; name and version alone until a worker has given more."""
        model = pb.Model()
        if self.card is not None:
            model.CopyFrom(self.card.model)
        model.name, model.version = self.ref.name, self.ref.version
        model.default_version = self.ref.default
        model.ready = self.ready
        return model


class Fleet:
    """The models that one TorchServe serves.

    A model is ready while TorchServe counts a ready worker and, since it last counted none, the model itself has
    answered: TorchServe's word alone is not enough.
    """

    def __init__(
        self, upstream: TorchServe, models: Sequence[ModelRef], settings: GatewaySettings, metrics: Metrics
    ) -> None:
        """Takes the models to serve.

        Raises:
            ValueError: a name has no default version, or several.
        """
        self._upstream = upstream
        self._settings = settings
        self._metrics = metrics
        self._models: dict[str, dict[str, ServedModel]] = {}
        for ref in sorted(models, key=lambda ref: (ref.name, ref.version)):
            served = ServedModel(ref, partial(upstream.run, ref), settings, metrics.queue(ref.name))
            self._models.setdefault(ref.name, {})[ref.version] = served
        for name, versions in self._models.items():
            if sum(served.ref.default for served in versions.values()) != 1:
                raise ValueError(f"model {name}: exactly one version must be the default one")

    def __iter__(self) -> Iterator[ServedModel]:
        """All versions of all models, by name, then by version."""
        return (served for versions in self._models.values() for served in versions.values())

    def find(self, name: str, version: str, field: str = "model") -> ServedModel:
        """The model of a name and version; the default version of an empty one.

        Args:
            name: its name.
            version: its version.
            field: the request's field that the name came in, for the error.

        Raises:
            NotFoundError: there is no such model.
        """
        versions = self._models.get(name)
        if versions is None:
            known = hint(name, self._models)
            raise NotFoundError(f"{field}: there is no model {shown(name)}{known}", "MODEL_UNKNOWN", field=field)
        for served in versions.values():
            if served.ref.default if not version else served.ref.version == version:
                return served
        known = hint(version, versions)
        raise NotFoundError(
            f"version: model {name} has no version {shown(version)}{known}", "VERSION_UNKNOWN", field="version"
        )

    def knows_method(self, name: str) -> bool:
        """Whether any model lists the method."""
        return any(served.card is not None and served.card.method(name) is not None for served in self)

    @property
    def ready(self) -> bool:
        """Whether all of them can answer."""
        return all(served.ready for served in self)

    async def unheld(self) -> None:
        """Waits for the requests that are on their way, as long as they take; the watch must go on meanwhile."""
        for served in self:
            await served.unheld()

    async def settle(self, patience: float) -> None:
        """Gives runs that nobody waits for any more the time to end, in seconds."""
        await self._upstream.settle(patience)

    async def close(self) -> None:
        """Closes the connection to TorchServe, whose workers count no more; the watch must have ended."""
        for served in self:
            self._see(served, Workers())
        await self._upstream.close()

    async def watch(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Looks at the models, for ever, and calls back whenever one becomes ready or stops being so."""
        async with asyncio.TaskGroup() as tasks:
            for served in self:
                tasks.create_task(self._watch(served, changed))

    async def _watch(self, served: ServedModel, changed: Callable[[], Awaitable[None]]) -> None:
        while True:
            workers = await self._workers(served)
            was_ready = served.ready
            self._see(served, workers)
            served.queue.set_workers(workers.ready)
            if served.ready != was_ready:
                log.info("%s is %s", served.ref, "ready" if served.ready else "not ready")
                await changed()
            served.doubted.clear()
            if served.ready:
                with suppress(TimeoutError):
                    await asyncio.wait_for(served.doubted.wait(), self._settings.poll_interval)
            if not served.ready or served.doubted.is_set():
                await asyncio.sleep(_SOON)

    async def _workers(self, served: ServedModel) -> Workers:
        before = served.workers
        try:
            workers = await self._upstream.workers(served.ref)
            if workers.ready and not served.ready:
                served.card = await self._ask(served.ref)
        except CamserveError as error:
            log.debug("%s cannot answer: %s", served.ref, error)
            return replace(before, ready=0)
        # One that is being started again has no process for a while.
        return replace(workers, processes={**before.processes, **workers.processes})

    def _see(self, served: ServedModel, workers: Workers) -> None:
        """Takes note of a model's workers, and accounts for what is new of them."""
        metrics, before = self._metrics.workers(served.ref.name), served.workers
        metrics.ready.inc(workers.ready - before.ready)
        metrics.wanted.inc(workers.wanted - before.wanted)
        metrics.restarts.inc(
            sum(before.processes.get(name, process) != process for name, process in workers.processes.items())
        )
        served.workers = workers

    async def _ask(self, ref: ModelRef) -> Card:
        reply = await self._upstream.run(ref, worker_pb2.Pack(describe=worker_pb2.Describe()))
        if reply.WhichOneof("result") != "model":
            raise InternalError(f"{ref} did not describe itself", "WORKER_FAILED")
        return Card(reply.model, self._settings.max_image_bytes)
