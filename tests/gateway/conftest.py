"""Fixtures of the gateway's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.gateway.client import Gateway, running_gateway
from tests.gateway.torchserve import FakeTorchServe


@pytest.fixture
async def torchserve() -> AsyncIterator[FakeTorchServe]:
    async with FakeTorchServe() as fake:
        yield fake


@pytest.fixture
async def gateway(torchserve: FakeTorchServe) -> AsyncIterator[Gateway]:
    async with running_gateway(torchserve) as running:
        yield running
