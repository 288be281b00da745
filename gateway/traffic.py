"""Counting messages and their bytes, where they become messages and bytes anyway."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from gateway.interceptor import Method, method_of
from gateway.metrics import Metrics


class TrafficInterceptor(grpc.aio.ServerInterceptor):
    """Counts what every call of a service brings and takes."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Returns the handler with counting serializers; None for a method that nobody serves."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method, attribute, make = method_of(handler_call_details, handler)
        counting: grpc.RpcMethodHandler[Any, Any] = make(
            getattr(handler, attribute),
            self._counting_in(method, handler.request_deserializer),
            self._counting_out(method, handler.response_serializer),
        )
        return counting

    def _counting_in(self, method: Method, deserialize: Any) -> Callable[[bytes], Any]:
        def counted(data: bytes) -> Any:
            self._metrics.received(method, len(data))
            return deserialize(data)

        return counted

    def _counting_out(self, method: Method, serialize: Any) -> Callable[[Any], bytes]:
        def counted(message: Any) -> bytes:
            data: bytes = serialize(message)
            self._metrics.sent(method, len(data))
            return data

        return counted
