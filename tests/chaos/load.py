"""Callers that never try again and note what they get."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from camserve.errors import from_rpc_error
from camserve.v1 import explanation_pb2 as pb
from camserve.v1 import explanation_pb2_grpc

Request = pb.ExplainRequest | pb.PredictRequest


@dataclass(frozen=True)
class Outcome:
    """What came of a call.

    Attributes:
        seconds: until its end.
        code: ``OK``, or the code of its error.
        reason: of its error.
        response: of a call that went well.
    """

    seconds: float
    code: str
    reason: str = ""
    response: Any = None


class Caller:
    """A channel without retries."""

    def __init__(self, address: str) -> None:
        options = (("grpc.enable_retries", 0), ("grpc.initial_reconnect_backoff_ms", 100))
        self._channel = grpc.aio.insecure_channel(address, options=options)
        self.stub: Any = explanation_pb2_grpc.ExplanationServiceStub(self._channel)

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def ask(self, request: Request, timeout: float = 30.0) -> Outcome:  # noqa: ASYNC109 - the call's own
        """Sends a request."""
        method = self.stub.Explain if isinstance(request, pb.ExplainRequest) else self.stub.Predict
        return await self._outcome(method(request, timeout=timeout))

    async def send(self, method: str, data: bytes, timeout: float = 30.0) -> Outcome:  # noqa: ASYNC109
        """Sends bytes."""
        call: Any = self._channel.unary_unary(f"/camserve.v1.ExplanationService/{method}")
        return await self._outcome(call(data, timeout=timeout))

    async def _outcome(self, call: Awaitable[Any]) -> Outcome:
        start = time.perf_counter()
        try:
            response = await call
        except grpc.aio.AioRpcError as error:
            return Outcome(time.perf_counter() - start, error.code().name, from_rpc_error(error).reason)
        return Outcome(time.perf_counter() - start, "OK", response=response)


async def at_rate(ask: Callable[[int], Awaitable[Outcome]], rate: float, seconds: float) -> list[Outcome]:
    """Calls so often a second, whatever becomes of the calls before."""
    start = time.perf_counter()
    calls: list[asyncio.Future[Outcome]] = []
    while (elapsed := time.perf_counter() - start) < seconds:
        calls.extend(asyncio.ensure_future(ask(place)) for place in range(len(calls), int(elapsed * rate)))
        await asyncio.sleep(0.002)
    return await asyncio.gather(*calls)


async def in_parallel(ask: Callable[[int], Awaitable[Outcome]], parallel: int, stop: asyncio.Event) -> list[Outcome]:
    """Keeps so many calls going until it is told to stop; those under way then are waited for."""
    outcomes: list[Outcome] = []

    async def one() -> None:
        while not stop.is_set():
            outcomes.append(await ask(len(outcomes)))

    await asyncio.gather(*(one() for _ in range(parallel)))
    return outcomes


def percentile(outcomes: Sequence[Outcome], share: float) -> float:
    """Seconds within which that share of calls ended."""
    return float(np.quantile([outcome.seconds for outcome in outcomes], share)) if outcomes else float("nan")
