"""Running every call of a service inside a context manager."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

# Quoted, because only the stubs of grpc make these generic.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]]"


@dataclass(frozen=True)
class Method:
    """The method that a call is of.

    Attributes:
        service: full name of its service.
        name: its name.
        kind: ``unary``, ``client_stream``, ``server_stream`` or ``bidi_stream``.
    """

    service: str
    name: str
    kind: str

    def __str__(self) -> str:
        return f"{self.service}/{self.name}"


Scope = Callable[[Method, Context], AbstractAsyncContextManager[None]]
"""Makes the context manager of one call."""

KINDS = {
    (False, False): "unary",
    (False, True): "server_stream",
    (True, False): "client_stream",
    (True, True): "bidi_stream",
}
"""The kind of a method, by whether requests and responses are streams."""

_HANDLERS = {
    "unary": ("unary_unary", grpc.unary_unary_rpc_method_handler),
    "server_stream": ("unary_stream", grpc.unary_stream_rpc_method_handler),
    "client_stream": ("stream_unary", grpc.stream_unary_rpc_method_handler),
    "bidi_stream": ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


class ScopeInterceptor(grpc.aio.ServerInterceptor):
    """Wraps scopes around every call, the first outermost."""

    def __init__(self, *scopes: Scope) -> None:
        self._scopes = scopes

    async def intercept_service(
        self,
        continuation: _Continuation,
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "_Handler | None":
        """Returns the handler with its behaviour inside the scopes; None for a method that nobody serves."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method, attribute, make = method_of(handler_call_details, handler)
        behaviour = getattr(handler, attribute)
        if inspect.isasyncgenfunction(behaviour):
            behaviour = _writing(behaviour)
        for scope in reversed(self._scopes):
            behaviour = _inside(scope, method, behaviour)
        made: _Handler = make(behaviour, handler.request_deserializer, handler.response_serializer)
        return made


def method_of(details: grpc.HandlerCallDetails, handler: "_Handler") -> tuple[Method, str, Callable[..., Any]]:
    """Which method a handler is of, the attribute with its behaviour, and what makes another handler of that kind."""
    kind = KINDS[handler.request_streaming, handler.response_streaming]
    service, _, name = details.method.removeprefix("/").rpartition("/")
    return Method(service, name, kind), *_HANDLERS[kind]


def _inside(scope: Scope, method: Method, behaviour: Callable[..., Any]) -> Callable[..., Any]:
    async def call(request: Any, context: Context) -> Any:
        async with scope(method, context):
            return await behaviour(request, context)

    return call


def _writing(behaviour: Callable[..., AsyncGenerator[Any, None]]) -> Callable[..., Awaitable[None]]:
    """A stream as a coroutine that writes it: cancelling that ends the stream there and then, wherever it stands."""

    async def call(request: Any, context: Context) -> None:
        async with aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return call
