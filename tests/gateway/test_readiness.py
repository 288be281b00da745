import asyncio
from dataclasses import replace

import grpc
import pytest

from camserve.errors import InternalError
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2
from gateway.fleet import Fleet
from gateway.metrics import Metrics
from gateway.server import BoundPorts, serve
from gateway.upstream import ModelRef, TorchServe
from tests.gateway.client import SETTINGS, Gateway, picture, refused, running_gateway, until
from tests.gateway.torchserve import REF, FakeTorchServe

SERVICE = "camserve.v1.ExplanationService"
EXPLAIN = pb.ExplainRequest(model="shapes", image=picture())


async def health_is(gateway: Gateway, serving: bool) -> None:
    """Waits until health says so, of everything that it speaks of."""
    for service in ("", SERVICE, "shapes"):
        while await gateway.healthy(service) != serving:  # noqa: ASYNC110 - a poll of health, as a probe's
            await asyncio.sleep(0.001)


async def test_health_follows_the_workers(gateway: Gateway, torchserve: FakeTorchServe) -> None:
    await health_is(gateway, True)
    torchserve.workers = 0
    await health_is(gateway, False)
    error = await refused(gateway.stub.Explain(EXPLAIN))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "MODEL_NOT_READY")
    assert error.retry_after == 1.0
    assert not (await gateway.stub.GetModel(pb.GetModelRequest(name="shapes"))).model.ready
    torchserve.workers = 2
    await health_is(gateway, True)
    await gateway.stub.Explain(EXPLAIN)
    assert (await gateway.metrics())['camserve_worker_ready{model="shapes"}'] == 2


async def test_a_torchserve_that_is_gone_is_noticed_by_its_first_caller_who_is_answered_when_it_is_back(
    torchserve: FakeTorchServe,
) -> None:
    async with running_gateway(torchserve, replace(SETTINGS, poll_interval=3600)) as gateway:
        torchserve.workers = 0
        torchserve.failures.append((grpc.StatusCode.UNAVAILABLE, "Socket closed"))
        call = asyncio.ensure_future(gateway.stub.Explain(EXPLAIN))
        await health_is(gateway, False)
        assert not call.done()
        torchserve.workers = 1
        assert (await call).explanations
        await health_is(gateway, True)


async def test_a_wrong_request_is_told_so_even_while_no_worker_is_ready(
    gateway: Gateway, torchserve: FakeTorchServe
) -> None:
    torchserve.workers = 0
    await health_is(gateway, False)
    error = await refused(gateway.stub.Explain(pb.ExplainRequest(model="shapes", image=b"text")))
    assert error.reason == "IMAGE_NOT_RECOGNISED"


async def test_a_model_is_asked_once_each_time_its_workers_come_back(
    gateway: Gateway, torchserve: FakeTorchServe
) -> None:
    await gateway.stub.Explain(EXPLAIN)
    assert torchserve.describes == 1
    torchserve.workers = 0
    await health_is(gateway, False)
    torchserve.workers = 1
    await health_is(gateway, True)
    assert torchserve.describes == 2


async def test_ready_workers_alone_do_not_make_a_model_ready(torchserve: FakeTorchServe) -> None:
    torchserve.description = worker_pb2.PackResult(error=InternalError("broken", "PACK_UNREADABLE").to_status())
    told: list[BoundPorts] = []
    stop = asyncio.Event()
    running = asyncio.create_task(serve(SETTINGS, torchserve.addresses, [REF], ready=told.append, stop=stop))
    await until(lambda: torchserve.describes >= 2)
    assert not told
    torchserve.description = None
    await until(lambda: bool(told))
    stop.set()
    await running


async def test_a_model_that_loads_is_listed_and_refuses(torchserve: FakeTorchServe) -> None:
    upstream = TorchServe(torchserve.addresses, run_timeout=1)
    refs = [ModelRef("b", "1", default=False), ModelRef("b", "2"), ModelRef("a", "1")]
    fleet = Fleet(upstream, refs, SETTINGS, Metrics())
    listed = [served.describe() for served in fleet]
    assert [(model.name, model.version, model.default_version, model.ready) for model in listed] == [
        ("a", "1", True, False),
        ("b", "1", False, False),
        ("b", "2", True, False),
    ]
    assert fleet.find("b", "").ref.version == "2"
    assert fleet.find("b", "1").ref.version == "1"
    await upstream.close()


@pytest.mark.parametrize("defaults", [(False, False), (True, True)])
async def test_a_name_has_one_default_version(torchserve: FakeTorchServe, defaults: tuple[bool, bool]) -> None:
    upstream = TorchServe(torchserve.addresses, run_timeout=1)
    refs = [ModelRef("a", str(version), default) for version, default in enumerate(defaults)]
    with pytest.raises(ValueError, match="model a: exactly one version"):
        Fleet(upstream, refs, SETTINGS, Metrics())
    await upstream.close()
