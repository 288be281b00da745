"""The one place where errors become statuses of gRPC calls."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from camserve.errors import CamserveError, InternalError
from gateway.call import current
from gateway.interceptor import Context, Method
from gateway.metrics import Metrics

log = logging.getLogger(__name__)


def public(error: Exception, what: object) -> CamserveError:
    """What a caller is told of an error: of camserve's own all, of another that the server failed, and it is logged.

    Args:
        error: what was raised.
        what: failed of it, for the log.
    """
    if isinstance(error, CamserveError):
        return error
    log.error("%s failed", what, exc_info=error)
    return InternalError("the server failed on this request", "INTERNAL")


class Statuses:
    """Answers calls that raise: a camserve error with its status and details, anything else without its internals."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @asynccontextmanager
    async def scope(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Aborts the call if its body raises."""
        try:
            yield
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await self.abort(context, public(error, method))

    async def abort(self, context: Context, error: CamserveError) -> None:
        """Ends a call with an error; raises what ends its body."""
        self._metrics.refusals.labels(error.reason).inc()
        current().reason = error.reason
        details = error.to_status().SerializeToString()
        trailers: list[tuple[str, str | bytes]] = [("grpc-status-details-bin", details)]
        if error.retry_after is not None:
            # What retrying channels obey; RetryInfo in the details is for people and their code.
            trailers.append(("grpc-retry-pushback-ms", str(round(error.retry_after * 1000))))
        await context.abort(error.code, error.message, tuple(trailers))
