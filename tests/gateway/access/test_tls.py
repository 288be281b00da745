"""A gateway that speaks TLS, as callers meet it."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from camserve import AsyncExplanationClient, tls_credentials
from camserve.v1 import explanation_pb2 as pb
from camserve.v1 import explanation_pb2_grpc
from gateway.access.tls import server_credentials
from gateway.cli import main
from gateway.settings import GatewaySettings, SettingError
from tests.gateway.access.conftest import Pki
from tests.gateway.client import SETTINGS, Gateway, running_gateway
from tests.gateway.torchserve import FakeTorchServe


def secured(pki: Pki, *, mutual: bool = False) -> GatewaySettings:
    client_ca = str(pki.client_ca_file) if mutual else ""
    return replace(SETTINGS, tls_certificate=str(pki.certificate), tls_key=str(pki.key), tls_client_ca=client_ca)


async def models(gateway: Gateway, credentials: grpc.ChannelCredentials | None) -> int:
    address = f"localhost:{gateway.ports.grpc}"
    async with AsyncExplanationClient(address, credentials=credentials, timeout=5) as client:
        return len(await client.models())


async def not_let_in(gateway: Gateway, credentials: grpc.ChannelCredentials | None) -> None:
    address = f"localhost:{gateway.ports.grpc}"
    options = [("grpc.enable_retries", 0)]  # which would make this slow
    open_ = grpc.aio.insecure_channel(address, options)
    async with grpc.aio.secure_channel(address, credentials, options) if credentials else open_ as channel:
        stub: Any = explanation_pb2_grpc.ExplanationServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListModels(pb.ListModelsRequest(), timeout=5)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_tls(torchserve: FakeTorchServe, pki: Pki) -> None:
    async with running_gateway(torchserve, secured(pki)) as gateway:
        assert await models(gateway, tls_credentials(ca=pki.ca_file)) == 1
        await not_let_in(gateway, None)
        await not_let_in(gateway, tls_credentials(ca=pki.client_ca_file))  # it does not trust this server


async def test_health_is_asked_over_tls_too(
    torchserve: FakeTorchServe, pki: Pki, capsys: pytest.CaptureFixture[str]
) -> None:
    ca, own = ["--ca", str(pki.ca_file)], ["--certificate", str(pki.client_certificate), "--key", str(pki.client_key)]
    async with running_gateway(torchserve, secured(pki, mutual=True)) as gateway:
        for arguments, status in (
            ([*ca, *own], 0),
            ([*ca, *own, "--server-name", "127.0.0.1"], 0),
            ([*ca, *own, "--server-name", "explain.example"], 1),
            (ca, 1),
            ([], 1),
        ):
            asked = ["health", "--server", f"localhost:{gateway.ports.grpc}", *arguments]
            assert await asyncio.to_thread(main, asked) == status
    assert await asyncio.to_thread(main, ["health", "--certificate", str(pki.client_certificate)]) == 1
    assert "give both" in capsys.readouterr().err


async def test_mutual_tls(torchserve: FakeTorchServe, pki: Pki, tmp_path: Path) -> None:
    own = {"ca": pki.ca_file, "certificate": pki.client_certificate, "key": pki.client_key}
    stranger = trustme.CA().issue_cert("shop.example")
    stranger.private_key_pem.write_to_path(tmp_path / "stranger.key")
    stranger.cert_chain_pems[0].write_to_path(tmp_path / "stranger.pem")
    async with running_gateway(torchserve, secured(pki, mutual=True)) as gateway:
        assert await models(gateway, tls_credentials(**own)) == 1
        await not_let_in(gateway, tls_credentials(ca=pki.ca_file))
        theirs = {"certificate": tmp_path / "stranger.pem", "key": tmp_path / "stranger.key"}
        await not_let_in(gateway, tls_credentials(ca=pki.ca_file, **theirs))


@pytest.mark.usefixtures("looks_at_once")
async def test_a_new_certificate_is_shown_without_a_restart(
    torchserve: FakeTorchServe, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_gateway(torchserve, secured(pki)) as gateway:
        assert await models(gateway, tls_credentials(ca=pki.ca_file)) == 1
        pki.key.write_text("half written")
        assert await models(gateway, tls_credentials(ca=pki.ca_file)) == 1
        assert "what was read before still holds" in caplog.text
        pki.ca = pki.client_ca  # another root
        pki.issue()
        assert await models(gateway, tls_credentials(ca=pki.client_ca_file)) == 1
        await not_let_in(gateway, tls_credentials(ca=pki.ca_file))


def test_settings_that_do_not_go_together(pki: Pki) -> None:
    good = secured(pki, mutual=True)
    assert server_credentials(SETTINGS) is None
    for wrong in (
        replace(good, tls_certificate=""),
        replace(good, tls_key=""),
        replace(good, tls_key=str(pki.client_key)),
        replace(good, tls_certificate="/nowhere"),
        replace(good, tls_client_ca=str(pki.key)),
    ):
        with pytest.raises(SettingError, match="CAMSERVE_TLS"):
            server_credentials(wrong)
