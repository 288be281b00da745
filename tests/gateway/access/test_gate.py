"""A gateway with tokens, as callers meet it."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from camserve import AsyncExplanationClient, CamserveError, ExplanationClient
from camserve.v1 import explanation_pb2 as pb
from tests.gateway.access.conftest import CallersFactory
from tests.gateway.client import SETTINGS, Gateway, picture, refused, running_gateway
from tests.gateway.torchserve import FakeTorchServe

EXPLAIN = pb.ExplainRequest(model="shapes", image=picture())


def with_token(token: str) -> Any:
    return (("authorization", f"Bearer {token}"),)


async def test_only_known_tokens_are_let_in(
    torchserve: FakeTorchServe, callers_file: Path, write_callers: CallersFactory
) -> None:
    tokens = write_callers(shop={})
    async with running_gateway(torchserve, replace(SETTINGS, callers_file=str(callers_file))) as gateway:
        assert (await gateway.stub.Explain(EXPLAIN, metadata=with_token(tokens["shop"]))).explanations
        for metadata, reason in (
            (None, "TOKEN_REQUIRED"),
            ((("authorization", "Basic abc"),), "TOKEN_REQUIRED"),
            (with_token(""), "TOKEN_REQUIRED"),
            (with_token(tokens["shop"][:-1]), "TOKEN_UNKNOWN"),
            (with_token(tokens["shop"] + "x"), "TOKEN_UNKNOWN"),
        ):
            error = await refused(gateway.stub.Explain(EXPLAIN, metadata=metadata))
            assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
            assert tokens["shop"][:8] not in error.message
        error = await refused(gateway.stub.ListModels(pb.ListModelsRequest()))
        assert error.reason == "TOKEN_REQUIRED"
        assert await gateway.healthy()  # probes have no token
        assert await reflection_code(gateway) == grpc.StatusCode.UNAUTHENTICATED
    assert len(torchserve.packs) == 1


async def reflection_code(gateway: Gateway) -> grpc.StatusCode:
    stub = reflection_pb2_grpc.ServerReflectionStub(gateway.channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        [_ async for _ in call]
    return caught.value.code()


async def test_the_clients_bring_their_token(
    torchserve: FakeTorchServe, callers_file: Path, write_callers: CallersFactory
) -> None:
    token = write_callers(shop={})["shop"]
    async with running_gateway(torchserve, replace(SETTINGS, callers_file=str(callers_file))) as gateway:
        address = f"localhost:{gateway.ports.grpc}"
        async with AsyncExplanationClient(address, token=token) as client:
            assert (await client.explain(picture(), model="shapes")).explanations
            assert [event async for event in client.explain_progress(picture(), model="shapes")]

        def synchronously() -> None:
            with ExplanationClient(address, token=token) as client:
                assert client.models()
            with ExplanationClient(address, token="wrong") as client, pytest.raises(CamserveError) as caught:
                client.models()
            assert caught.value.reason == "TOKEN_UNKNOWN"

        await asyncio.to_thread(synchronously)


@pytest.mark.usefixtures("looks_at_once")
async def test_tokens_and_limits_change_while_it_runs(
    torchserve: FakeTorchServe, callers_file: Path, write_callers: CallersFactory, caplog: pytest.LogCaptureFixture
) -> None:
    old = write_callers(shop={})["shop"]
    async with running_gateway(torchserve, replace(SETTINGS, callers_file=str(callers_file))) as gateway:
        new = write_callers(shop={"burst": 1, "cost_per_second": 0.001})["shop"]
        assert (await refused(gateway.stub.Explain(EXPLAIN, metadata=with_token(old)))).reason == "TOKEN_UNKNOWN"
        assert (await gateway.stub.Explain(EXPLAIN, metadata=with_token(new))).explanations
        error = await refused(gateway.stub.Explain(EXPLAIN, metadata=with_token(new)))
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CALLER_RATE")
        break_file(callers_file)
        assert (await refused(gateway.stub.Explain(EXPLAIN, metadata=with_token(new)))).reason == "CALLER_RATE"
        assert "cannot be read; what was read before still holds" in caplog.text
    assert old not in caplog.text
    assert new not in caplog.text


def break_file(file: Path) -> None:
    file.write_text("callers: [")  # half written


async def test_a_caller_has_so_many_in_hand_and_others_are_not_touched(
    torchserve: FakeTorchServe, callers_file: Path, write_callers: CallersFactory
) -> None:
    tokens = write_callers(shop={"in_hand": 1}, lab={})
    async with running_gateway(torchserve, replace(SETTINGS, callers_file=str(callers_file))) as gateway:
        torchserve.open.clear()
        first = asyncio.ensure_future(gateway.stub.Explain(EXPLAIN, metadata=with_token(tokens["shop"])))
        await torchserve.arrived(1)
        error = await refused(gateway.stub.Explain(EXPLAIN, metadata=with_token(tokens["shop"])))
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CALLER_IN_HAND")
        assert error.retry_after is not None
        other = asyncio.ensure_future(gateway.stub.Explain(EXPLAIN, metadata=with_token(tokens["lab"])))
        torchserve.open.set()
        await asyncio.gather(first, other)
        await gateway.stub.Explain(EXPLAIN, metadata=with_token(tokens["shop"]))


async def test_a_stream_of_a_bounded_caller_is_slowed_not_refused(
    torchserve: FakeTorchServe, callers_file: Path, write_callers: CallersFactory
) -> None:
    token = write_callers(shop={"in_hand": 1, "burst": 1, "cost_per_second": 50})["shop"]
    async with running_gateway(torchserve, replace(SETTINGS, callers_file=str(callers_file))) as gateway:
        items = [pb.ExplainStreamRequest(id=str(n), request=EXPLAIN) for n in range(6)]
        call = gateway.stub.ExplainStream(iter(items), metadata=with_token(token))
        responses = [response async for response in call]
    assert sorted(response.id for response in responses) == [item.id for item in items]
    assert not any(response.HasField("error") for response in responses)
    assert all(len(pack) == 1 for pack in torchserve.packs)
