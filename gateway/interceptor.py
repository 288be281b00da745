"""Running every call of a service inside a context manager."""

import asyncio
import inspect
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from camserve.errors import InvalidArgumentError

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

_CODES = {code.value[0]: code for code in grpc.StatusCode}
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
        behaviour = (_checking_each if handler.request_streaming else _checking)(behaviour)
        for scope in reversed(self._scopes):
            behaviour = _inside(scope, method, behaviour)
        deserialize = handler.request_deserializer
        made: _Handler = make(behaviour, deserialize and _telling(deserialize), handler.response_serializer)
        return made


def method_of(details: grpc.HandlerCallDetails, handler: "_Handler") -> tuple[Method, str, Callable[..., Any]]:
    """Which method a handler is of, the attribute with its behaviour, and what makes another handler of that kind."""
    kind = KINDS[handler.request_streaming, handler.response_streaming]
    service, _, name = details.method.removeprefix("/").rpartition("/")
    return Method(service, name, kind), *_HANDLERS[kind]


def status_code(context: Context) -> grpc.StatusCode:
    """The status of a call that ends here.

    Ask in the ``finally`` of a scope, because only there it shows that a call was cancelled. Of an aborted call it is
    the status that it was aborted with, whether that still reached the caller or not.
    """
    if isinstance(sys.exception(), asyncio.CancelledError):
        remaining = context.time_remaining()
        passed = remaining is not None and remaining <= 0
        return grpc.StatusCode.DEADLINE_EXCEEDED if passed else grpc.StatusCode.CANCELLED
    code = context.code()  # a number, or None while nothing but success has been said
    return _CODES[int(code)] if isinstance(code, int) else code or grpc.StatusCode.OK


def _inside(scope: Scope, method: Method, behaviour: Callable[..., Any]) -> Callable[..., Any]:
    async def call(request: Any, context: Context) -> Any:
        async with scope(method, context):
            return await behaviour(request, context)

    return call


_UNREADABLE = object()
"""Stands for a message that could not be read, until there is a call to answer with an error."""


def _telling(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except DecodeError:
            return _UNREADABLE

    return read


def _checked(request: Any) -> Any:
    if request is _UNREADABLE:
        text = "the bytes of the message are none of its type; generate the client from the contract again"
        raise InvalidArgumentError(text, "MESSAGE_UNREADABLE")
    return request


def _checking(behaviour: Callable[..., Any]) -> Callable[..., Any]:
    async def call(request: Any, context: Context) -> Any:
        return await behaviour(_checked(request), context)

    return call


def _checking_each(behaviour: Callable[..., Any]) -> Callable[..., Any]:
    async def each(requests: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        async for request in requests:
            yield _checked(request)

    async def call(requests: AsyncIterator[Any], context: Context) -> Any:
        return await behaviour(each(requests), context)

    return call


def _writing(behaviour: Callable[..., AsyncGenerator[Any, None]]) -> Callable[..., Awaitable[None]]:
    """A stream as a coroutine that writes it: cancelling that ends the stream there and then, wherever it stands."""

    async def call(request: Any, context: Context) -> None:
        async with aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return call
