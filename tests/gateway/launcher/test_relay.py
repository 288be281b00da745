import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.launcher.relay import relay


@asynccontextmanager
async def says(word: bytes) -> AsyncIterator[int]:
    """A server that answers a line with a word and the line; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(word + b" " + await reader.readline())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello\n")
    answer = await reader.read()
    writer.close()
    return answer


async def test_leads_to_where_the_target_is_now() -> None:
    async with says(b"one") as one, says(b"two") as two:
        target = one
        async with relay(0, lambda: target) as port:
            assert await ask(port) == b"one hello\n"
            target = two
            assert await ask(port) == b"two hello\n"


async def test_nobody_there_ends_the_connection_and_nothing_else() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        target = unused.getsockname()[1]
        async with relay(0, lambda: target) as port:
            for _ in range(2):
                assert await ask(port) == b""


async def test_an_open_connection_does_not_keep_it_open() -> None:
    async with says(b"one") as one:
        async with relay(0, lambda: one) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            async with relay(port, lambda: 0):
                pass
