"""Finishing accepted calls before the server stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from camserve.errors import UnavailableError
from gateway.interceptor import Context, Method
from gateway.status import Statuses
from gateway.upstream import RETRY_AFTER


def draining() -> UnavailableError:
    """What a server that stops tells whom it does not serve any more."""
    return UnavailableError("the server is stopping; try another", "DRAINING", retry_after=RETRY_AFTER)


class Drain:
    """Counts calls to a service; once it closes, no further ones are let in.

    ``grpc.aio.Server.stop`` alone does not wait for calls that end by an abort, so this wraps around `Statuses.scope`.

    Attributes:
        closing: set when it closes, for calls that have no end of their own.
    """

    def __init__(self, service: str, statuses: Statuses) -> None:
        """Takes the full name of the service whose calls are counted; others pass."""
        self._service = service
        self._statuses = statuses
        self._calls = 0
        self.closing = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def scope(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Lets a call in and counts it."""
        if method.service != self._service:
            yield
            return
        if self.closing.is_set():
            await self._statuses.abort(context, draining())
        self._calls += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._empty.set()

    async def close(self, timeout: float) -> bool:  # noqa: ASYNC109 - an answer is wanted, not an exception
        """Lets no more calls in and waits for those inside, so many seconds at most; returns whether all ended."""
        self.closing.set()
        try:
            await asyncio.wait_for(self._empty.wait(), timeout)
        except TimeoutError:
            return False
        return True
