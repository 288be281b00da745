"""The gate: it asks callers who they are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from camserve.errors import UnauthenticatedError
from gateway.access.allowance import CALLER
from gateway.access.callers import Callers
from gateway.call import current
from gateway.interceptor import Context, Method

_OPEN = "grpc.health.v1.Health"  # to probes, which have no tokens


class Gate:
    """Lets calls in that bring a token of a known caller."""

    def __init__(self, callers: Callers | None) -> None:
        """Takes the callers; None: everyone may call."""
        self._callers = callers

    @asynccontextmanager
    async def scope(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Lets a call in.

        Raises:
            UnauthenticatedError: it has no token, or one that is nobody's.
        """
        if self._callers is not None and method.service != _OPEN:
            header = next((value for key, value in context.invocation_metadata() or () if key == "authorization"), "")
            kind, _, token = str(header).partition(" ")
            if kind.lower() != "bearer" or not token:
                text = "the call has no token; send the metadata authorization: Bearer TOKEN"
                raise UnauthenticatedError(text, "TOKEN_REQUIRED")
            allowance = self._callers.find(token.strip())
            if allowance is None:
                raise UnauthenticatedError(
                    "the token is not known here, or no longer; ask for another", "TOKEN_UNKNOWN"
                )
            CALLER.set(allowance)
            current().caller = allowance.name
        yield
