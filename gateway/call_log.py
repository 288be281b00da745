"""A line in the log for each call, and for each item of a stream."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from gateway.call import current
from gateway.interceptor import Context, Method, status_code

log = logging.getLogger(__name__)


class CallLog:
    """Logs the calls of one service, if it is wanted: which, how it ended, how long it took; never what was sent."""

    def __init__(self, service: str, wanted: bool) -> None:
        """Takes the service's full name, and whether to log at all."""
        self._service = service
        self._wanted = wanted

    @asynccontextmanager
    async def scope(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Logs a call when it ends."""
        start = time.perf_counter()
        try:
            yield
        finally:
            if method.service == self._service:
                self.ended(method.name, status_code(context), time.perf_counter() - start)

    def ended(self, name: str, code: grpc.StatusCode, seconds: float) -> None:
        """Logs the end of the current call."""
        if not self._wanted:
            return
        call = current()
        facts = {
            "rpc": name,
            "code": code.name,
            "seconds": round(seconds, 6),
            "caller": call.caller,
            "model": call.model,
            "method": call.method,
            "reason": call.reason,
        }
        log.info("%s %s in %.1f ms", name, code.name, 1000 * seconds, extra={"facts": facts})
