import asyncio
from collections.abc import AsyncIterator

import pytest

from camserve.v1 import explanation_pb2 as pb
from gateway.succession import Succession
from gateway.upstream import ModelRef
from tests.gateway.client import Gateway, picture, refused, running_gateway, until
from tests.gateway.torchserve import MODEL, REF, FakeTorchServe

EXPLAIN = pb.ExplainRequest(model="shapes", image=picture())
NEW = ModelRef("shapes", "2")


def version_2() -> pb.Model:
    model = pb.Model()
    model.CopyFrom(MODEL)
    model.version = "2"
    return model


@pytest.fixture
async def successor() -> AsyncIterator[FakeTorchServe]:
    async with FakeTorchServe(version_2()) as fake:
        yield fake


async def test_requests_on_their_way_keep_the_one_they_found_and_none_is_lost(
    torchserve: FakeTorchServe, successor: FakeTorchServe
) -> None:
    succession, switched = Succession(), asyncio.Event()
    async with running_gateway(torchserve, succession=succession) as gateway:
        torchserve.open.clear()
        before = [asyncio.ensure_future(gateway.stub.Explain(EXPLAIN)) for _ in range(5)]
        await torchserve.arrived(1)
        await until(lambda: not any(call.done() for call in before))
        replacing = asyncio.create_task(succession.replace(successor.addresses, [NEW], 10, switched.set))
        await switched.wait()
        after = await asyncio.gather(*(gateway.stub.Explain(EXPLAIN) for _ in range(3)))
        assert [response.version for response in after] == ["2"] * 3
        assert not replacing.done()
        torchserve.open.set()
        assert [response.version for response in await asyncio.gather(*before)] == ["1"] * 5
        await replacing
        assert (await gateway.metrics())['camserve_worker_ready{model="shapes"}'] == 1
        error = await refused(gateway.stub.Explain(pb.ExplainRequest(model="shapes", version="1", image=picture())))
        assert error.reason == "VERSION_UNKNOWN"
    assert torchserve.cancelled == successor.cancelled == 0


async def test_a_load_through_several_successions_loses_nothing(
    torchserve: FakeTorchServe, successor: FakeTorchServe
) -> None:
    succession = Succession()
    seen: set[str] = set()
    done = asyncio.Event()

    async def ask(gateway: Gateway) -> None:
        while not done.is_set():
            seen.add((await gateway.stub.Explain(EXPLAIN)).version)

    async with running_gateway(torchserve, succession=succession) as gateway:
        load = asyncio.gather(*(ask(gateway) for _ in range(8)))
        for fake, ref in ((successor, NEW), (torchserve, REF)) * 3:
            await succession.replace(fake.addresses, [ref], 10, lambda: None)
        done.set()
        await load
    assert seen == {"1", "2"}


async def test_one_that_never_becomes_ready_changes_nothing(
    torchserve: FakeTorchServe, successor: FakeTorchServe
) -> None:
    succession = Succession()
    async with running_gateway(torchserve, succession=succession) as gateway:
        successor.workers = 0
        given_up = asyncio.create_task(succession.replace(successor.addresses, [NEW], 10, lambda: None))
        await asyncio.sleep(0.1)
        given_up.cancel()
        successor.workers = 1
        assert (await gateway.stub.Explain(EXPLAIN)).version == "1"
        assert await gateway.healthy()
        await succession.replace(successor.addresses, [NEW], 10, lambda: None)
        assert (await gateway.stub.Explain(EXPLAIN)).version == "2"


async def test_health_forgets_no_model(torchserve: FakeTorchServe, successor: FakeTorchServe) -> None:
    succession = Succession()
    async with running_gateway(torchserve, succession=succession) as gateway:
        await succession.replace(successor.addresses, [ModelRef("forms", "1")], 10, lambda: None)
        assert await gateway.healthy("forms")
        assert not await gateway.healthy("shapes")
        assert await gateway.healthy()


async def test_a_stop_waits_for_requests_of_both(torchserve: FakeTorchServe, successor: FakeTorchServe) -> None:
    succession, switched = Succession(), asyncio.Event()
    async with running_gateway(torchserve, succession=succession) as gateway:
        for fake in (torchserve, successor):
            fake.open.clear()
        old = asyncio.ensure_future(gateway.stub.Explain(EXPLAIN))
        await torchserve.arrived(1)
        replacing = asyncio.create_task(succession.replace(successor.addresses, [NEW], 10, switched.set))
        await switched.wait()
        new = asyncio.ensure_future(gateway.stub.Explain(EXPLAIN))
        await successor.arrived(1)
        gateway.stop.set()
        for fake in (torchserve, successor):
            fake.open.set()
        assert {response.version for response in await asyncio.gather(old, new)} == {"1", "2"}
        await gateway.running
        replacing.cancel()
