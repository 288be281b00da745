"""Several gateways behind one name, as processes of their own: some stop, some are killed, and no call is lost."""

import asyncio
import signal
import socket
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from camserve import AsyncExplanationClient
from gateway.launcher.server import COMMAND
from tests.gateway.client import picture
from tests.gateway.names import NameServer
from tests.gateway.torchserve import FakeTorchServe
from tests.recipes import recipe_data, write_model

pytestmark = pytest.mark.slow

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
CALLS, CALLERS = 400, 40


@dataclass
class Replica:
    """A gateway before a TorchServe of its own, which here is a fake."""

    process: Process
    torchserve: FakeTorchServe

    @property
    def asked(self) -> list[str]:
        """The requests that came through it, by id."""
        return [item.explain.request_id for pack in self.torchserve.packs for item in pack]


@dataclass
class Replicas:
    """All of them, and a name for them."""

    each: list[Replica]
    port: int
    names: NameServer

    @property
    def name(self) -> str:
        return f"dns://127.0.0.1:{self.names.port}/camserve.example:{self.port}"

    @property
    def addresses(self) -> str:
        return ",".join(f"{host}:{self.port}" for host in HOSTS)


@asynccontextmanager
async def running(store: Path, torchserve: FakeTorchServe, host: str, port: int) -> AsyncIterator[Process]:
    """A gateway, once it is ready."""
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "gateway", "--model-store", store, "--models", "shapes"),
        *("--host", host, "--port", str(port), "--metrics-port", "0"),
        *("--torchserve-inference", torchserve.addresses.inference),
        *("--torchserve-management", torchserve.addresses.management),
        stdout=PIPE,
    )
    assert process.stdout is not None
    try:
        assert b"camserve ready" in await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
async def replicas(tmp_path: Path) -> AsyncIterator[Replicas]:
    write_model(tmp_path / "shapes", recipe_data())
    with socket.socket() as free:
        free.bind((HOSTS[0], 0))
        port = int(free.getsockname()[1])
    async with AsyncExitStack() as stack:
        fakes = [await stack.enter_async_context(FakeTorchServe()) for _ in HOSTS]
        started = [running(tmp_path, fake, host, port) for fake, host in zip(fakes, HOSTS, strict=True)]
        processes = await asyncio.gather(*map(stack.enter_async_context, started))
        names = await stack.enter_async_context(NameServer(HOSTS))
        each = [Replica(process, fake) for process, fake in zip(processes, fakes, strict=True)]
        yield Replicas(each, port, names)


async def load(client: AsyncExplanationClient, answered: list[str]) -> None:
    """Makes calls, many at a time."""
    numbers = iter(range(CALLS))

    async def caller() -> None:
        for number in numbers:
            result = await client.explain(picture(), model="shapes", request_id=str(number), timeout=60)
            answered.append(result.request_id)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


async def until_some(answered: list[str]) -> None:
    while len(answered) < CALLS // 4:  # noqa: ASYNC110 - what is waited for sets no event
        await asyncio.sleep(0.001)


async def test_calls_go_to_all_in_turn(replicas: Replicas) -> None:
    before = [0, 0, 0]
    for address in (replicas.name, replicas.addresses):
        async with AsyncExplanationClient(address) as client:
            await load(client, [])
        asked = [len(replica.asked) for replica in replicas.each]
        shares = [now - then for now, then in zip(asked, before, strict=True)]
        before = asked
        assert sum(shares) == CALLS
        assert min(shares) > CALLS / 10


async def test_one_that_stops_under_load_loses_nothing(replicas: Replicas) -> None:
    answered: list[str] = []
    async with AsyncExplanationClient(replicas.name) as client:
        loading = asyncio.create_task(load(client, answered))
        await until_some(answered)
        replicas.each[0].process.send_signal(signal.SIGTERM)
        await loading
        assert await replicas.each[0].process.wait() == 0
    assert Counter(answered) == Counter(map(str, range(CALLS)))
    # It finished what it had accepted, and passed on the rest: nothing was done twice.
    assert Counter(name for replica in replicas.each for name in replica.asked) == Counter(answered)
    assert replicas.each[0].asked


async def test_one_that_is_killed_under_load_loses_nothing(replicas: Replicas) -> None:
    answered: list[str] = []
    first = replicas.each[0]
    first.torchserve.open.clear()  # so that calls are in its hands when it goes
    async with AsyncExplanationClient(replicas.name) as client:
        loading = asyncio.create_task(load(client, answered))
        while not first.asked:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.2)  # for others to wait behind it
        first.process.kill()
        await loading
    assert Counter(answered) == Counter(map(str, range(CALLS)))
    assert set(first.asked) <= set(answered)


async def test_a_new_one_is_found(replicas: Replicas) -> None:
    replicas.names.addresses = [HOSTS[0]]
    async with AsyncExplanationClient(replicas.name) as client:
        await load(client, [])
        assert not replicas.each[1].asked
        replicas.names.addresses = list(HOSTS[1:])
        replicas.each[0].process.send_signal(signal.SIGTERM)  # its connections close, and the name is asked again
        answered: list[str] = []
        await load(client, answered)
    assert len(answered) == CALLS
    assert replicas.each[1].asked
