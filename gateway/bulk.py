"""Many requests over one stream."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import grpc

from camserve.errors import CamserveError, InvalidArgumentError
from camserve.v1 import explanation_pb2 as pb
from gateway.admission.fault import raise_if_any
from gateway.admission.ids import identifier
from gateway.call_log import CallLog
from gateway.drain import draining
from gateway.metrics import Metrics
from gateway.status import public
from gateway.tracing import Tracing


class BulkStream:
    """The items of one stream: so many are in hand at a time, and the next is read when one has been answered.

    An item's fault is its own. When the server stops, what was read is answered and the rest is not read.
    """

    def __init__(
        self,
        answer: Callable[[pb.ExplainRequest], Awaitable[pb.ExplainResponse]],
        most: int,
        closing: asyncio.Event,
        *,
        metrics: Metrics,
        tracing: Tracing,
        call_log: CallLog,
    ) -> None:
        """Takes a stream on.

        Args:
            answer: answers the request of an item.
            most: items in hand at a time.
            closing: set when the server stops.
            metrics: counts items.
            tracing: opens items as calls of their own.
            call_log: logs them.
        """
        self._answer = answer
        self._closing = closing
        self._metrics = metrics
        self._tracing = tracing
        self._call_log = call_log
        self._free = asyncio.Semaphore(most)
        self._ids: set[str] = set()
        self._cut_off: CamserveError | None = None
        self._answered: asyncio.Queue[pb.ExplainStreamResponse | None] = asyncio.Queue()  # None is the end

    async def responses(
        self, requests: AsyncIterator[pb.ExplainStreamRequest]
    ) -> AsyncGenerator[pb.ExplainStreamResponse, None]:
        """The answers to items, as they come.

        Raises:
            UnavailableError: the server stops, and the caller had more to send.
            InvalidArgumentError: what was sent cannot be read.
        """
        reading = asyncio.create_task(self._read(requests))
        try:
            while (response := await self._answered.get()) is not None:
                yield response
                self._free.release()
            await reading
            if self._cut_off is not None:
                raise self._cut_off
        finally:
            reading.cancel()

    async def _read(self, requests: AsyncIterator[pb.ExplainStreamRequest]) -> None:
        closing = asyncio.create_task(self._closing.wait())
        try:
            async with asyncio.TaskGroup() as items:  # what cancels the reading cancels the items too
                while (item := await self._next(requests, closing)) is not None:
                    items.create_task(self._handle(item))
        finally:
            closing.cancel()
            self._answered.put_nowait(None)

    async def _next(
        self, requests: AsyncIterator[pb.ExplainStreamRequest], closing: "asyncio.Task[bool]"
    ) -> pb.ExplainStreamRequest | None:
        """The next item, when there is room for one; None at the end."""
        await self._free.acquire()
        reading = asyncio.ensure_future(anext(requests, None))
        try:
            await asyncio.wait((reading, closing), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                return reading.result()
            self._cut_off = draining()
        except CamserveError as error:  # what came is no item, and nothing can be made of what follows
            self._cut_off = error
        finally:
            reading.cancel()
        return None

    async def _handle(self, item: pb.ExplainStreamRequest) -> None:
        code = grpc.StatusCode.CANCELLED
        answer = pb.ExplainStreamResponse(id=item.id)
        start = time.perf_counter()
        with self._tracing.item() as call:
            try:
                raise_if_any(identifier(item.id, "id", "ITEM_ID_INVALID"))
                self._check_new(item.id)
                answer.response.CopyFrom(await self._answer(item.request))
                code = grpc.StatusCode.OK
            except Exception as error:
                known = public(error, "an item of a stream")
                code, call.reason = known.code, known.reason
                self._metrics.refusals.labels(known.reason).inc()
                answer.error.CopyFrom(known.to_status())
            finally:
                self._metrics.stream_items.labels(code.name).inc()
                self._call_log.ended("ExplainStream item", code, time.perf_counter() - start)
        self._answered.put_nowait(answer)

    def _check_new(self, name: str) -> None:
        if not name:
            raise InvalidArgumentError("id is empty; give each item one of its own", "ITEM_ID_REQUIRED", field="id")
        if name in self._ids:
            text = "id came before in this stream; give each item one of its own"
            raise InvalidArgumentError(text, "ITEM_ID_REPEATED", field="id")
        self._ids.add(name)
