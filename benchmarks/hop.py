"""A gRPC service that does nothing: what one more process on a request's way costs at least.

``python -m benchmarks.hop`` serves it and prints its port.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from benchmarks.client import AsyncCall

_SERVICE, _METHOD = "benchmarks.Hop", "Cross"


@asynccontextmanager
async def bare_hop(request: bytes, answer: int) -> AsyncIterator[AsyncCall]:
    """A call that takes a request to another process, and so many bytes back."""
    with subprocess.Popen([sys.executable, "-m", __name__, str(answer)], stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220, S603
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                cross: Any = channel.unary_unary(f"/{_SERVICE}/{_METHOD}")
                yield lambda: cross(request)
        finally:
            process.kill()


async def _serve(answer: int) -> None:
    async def cross(_request: bytes, _context: Any) -> bytes:
        return bytes(answer)

    server = grpc.aio.server()
    handlers: dict[str, Any] = {_METHOD: grpc.unary_unary_rpc_method_handler(cross)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
