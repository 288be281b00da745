import asyncio
import socket
from dataclasses import replace

import grpc
import pytest

from camserve.v1 import explanation_pb2 as pb
from gateway.server import serve
from gateway.settings import GatewaySettings
from tests.gateway.client import SETTINGS, Gateway, picture, refused, running_gateway
from tests.gateway.torchserve import REF, FakeTorchServe

EXPLAIN = pb.ExplainRequest(model="shapes", image=picture())


async def test_a_stop_loses_nothing_that_was_accepted(torchserve: FakeTorchServe) -> None:
    async with running_gateway(torchserve) as gateway:
        torchserve.open.clear()
        calls = [gateway.stub.Explain(EXPLAIN) for _ in range(10)]
        await until_waiting(gateway, 9)
        gateway.stop.set()
        await until_draining(gateway)
        assert not await gateway.healthy()
        assert not gateway.running.done()
        torchserve.open.set()
        for response in await asyncio.gather(*calls):
            assert response.explanations
        await gateway.running


async def until_waiting(gateway: Gateway, count: int) -> None:
    while (await gateway.metrics())['camserve_queue_depth{model="shapes"}'] != count:
        pass


async def until_draining(gateway: Gateway) -> None:
    """Sends requests that are refused anyway until the refusal says that the server stops."""
    while (error := await refused(gateway.stub.Explain(pb.ExplainRequest(model="none")))).reason != "DRAINING":
        assert error.code == grpc.StatusCode.NOT_FOUND
    assert error.code == grpc.StatusCode.UNAVAILABLE
    assert error.retry_after is not None


async def test_a_stop_does_not_wait_for_ever(torchserve: FakeTorchServe) -> None:
    async with running_gateway(torchserve, replace(SETTINGS, drain_timeout=0.05)) as gateway:
        torchserve.open.clear()
        call = gateway.stub.Explain(EXPLAIN)
        await torchserve.arrived(1)
        gateway.stop.set()
        with pytest.raises(grpc.aio.AioRpcError):
            await call
        await gateway.running


async def test_a_stop_before_any_model_is_ready(torchserve: FakeTorchServe) -> None:
    torchserve.workers = 0
    stop = asyncio.Event()
    running = asyncio.create_task(serve(SETTINGS, torchserve.addresses, [REF], stop=stop))
    stop.set()
    await running


@pytest.mark.parametrize(
    ("setting", "variable"), [("port", "CAMSERVE_PORT"), ("metrics_port", "CAMSERVE_METRICS_PORT")]
)
async def test_a_port_that_is_taken(torchserve: FakeTorchServe, setting: str, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = GatewaySettings.from_env({}, **{"port": 0, "metrics_port": 0, setting: taken.getsockname()[1]})
        with pytest.raises(
            OSError, match=f"cannot listen on 127.0.0.1:.*choose another port with CAMSERVE_{setting.upper()}"
        ):
            await serve(settings, torchserve.addresses, [REF], stop=asyncio.Event())


def ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not ipv6(), reason="this machine has no IPv6")
async def test_it_listens_on_ipv6(torchserve: FakeTorchServe) -> None:
    async with running_gateway(torchserve, replace(SETTINGS, host="::1")) as gateway:
        await gateway.stub.Explain(EXPLAIN)


async def test_two_gateways_run_side_by_side(torchserve: FakeTorchServe) -> None:
    async with running_gateway(torchserve) as one, running_gateway(torchserve) as other:
        assert one.ports != other.ports
        await asyncio.gather(one.stub.Explain(EXPLAIN), other.stub.Explain(EXPLAIN))


async def test_an_image_above_the_limit_of_messages_is_refused(gateway: Gateway) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=bytes(18 * 1024 * 1024)))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
