"""A port that leads to another one, which may change."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.launcher.ports import LOOPBACK

_CHUNK = 2**16


@asynccontextmanager
async def relay(port: int, target: Callable[[], int]) -> AsyncIterator[int]:
    """Leads connections on as long as the context lasts, all on loopback.

    Args:
        port: to listen on; 0 takes a free one.
        target: the port where a connection that comes now is to go.

    Yields:
        The port that it listens on.

    Raises:
        OSError: the port is taken.
    """
    writers: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        with contextlib.closing(writer), contextlib.suppress(OSError):
            there, to_there = await asyncio.open_connection(LOOPBACK, target())
            with contextlib.closing(to_there):
                await asyncio.gather(_copy(reader, to_there), _copy(there, writer))
        writers.discard(writer)

    try:
        server = await asyncio.start_server(connected, LOOPBACK, port)
    except OSError as error:
        raise OSError(f"cannot listen on {LOOPBACK}:{port} ({error}); choose another port") from error
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
