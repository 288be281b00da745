"""A small real gRPC server for the clients to call."""

from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from PIL import Image

from camserve.v1.explanation_pb2_grpc import add_ExplanationServiceServicer_to_server
from tests.client.fake_service import FakeService


@pytest.fixture
def service() -> Iterator[FakeService]:
    fake = FakeService()
    yield fake
    fake.blocked.set()


@pytest.fixture
def address(service: FakeService) -> Iterator[str]:
    """Address of a server that runs ``service``."""
    options = [("grpc.max_receive_message_length", 32 << 20)]
    server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
    add_ExplanationServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    service.blocked.set()
    server.stop(None).wait()


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "picture.png"
    Image.new("RGB", (40, 30), "gray").save(path)
    return str(path)


@pytest.fixture
def server(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CAMSERVE_SERVER", address)
    return address
