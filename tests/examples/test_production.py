"""The example service, over a server that plays camserve."""

import importlib
import io
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from camserve.errors import (
    CamserveError,
    InternalError,
    InvalidArgumentError,
    ResourceExhaustedError,
    UnimplementedError,
)
from tests.client.conftest import address, service
from tests.client.fake_service import FakeService

__all__ = ["address", "service"]

FOLDER = Path(__file__).resolve().parents[2] / "examples/production"


@pytest.fixture
def http(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("CAMSERVE_SERVER", address)
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("app", "explanations"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with TestClient(importlib.import_module("app").app) as client:
        yield client


@pytest.fixture
def image() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "gray").save(file, "PNG")
    return file.getvalue()


def _settled(http: TestClient, url: str) -> dict[str, Any]:
    for _ in range(400):
        found: dict[str, Any] = http.get(url).json()
        if found["state"] != "pending":
            return found
        time.sleep(0.02)
    raise AssertionError("the explanation never settled")


def test_a_prediction_comes_at_once_and_its_explanation_after(
    http: TestClient, service: FakeService, image: bytes
) -> None:
    answered = http.post("/predictions", content=image).json()
    assert (answered["label"], answered["probability"]) == ("circle", 0.75)
    found = _settled(http, answered["explanation"])
    assert (found["state"], found["method"], found["label"]) == ("ready", "opti-cam", "circle")
    overlay = http.get(found["overlay"])
    assert overlay.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(overlay.content)).size == (40, 30)
    assert [request.WhichOneof("kind") for request in service.requests[1].targets] == ["class_target"]


def test_the_prediction_does_not_wait_for_the_explanation(http: TestClient, service: FakeService, image: bytes) -> None:
    url = http.post("/predictions", content=image).json()["explanation"]
    service.blocked.clear()
    waiting = http.get(url).json()["state"]
    service.blocked.set()
    assert waiting in ("pending", "ready")
    assert _settled(http, url)["state"] == "ready"


@pytest.mark.parametrize("failures", [1, 2])
def test_a_method_that_fails_is_followed_by_a_cheaper_one(
    http: TestClient, service: FakeService, image: bytes, failures: int
) -> None:
    service.explain_failures = [InternalError("the worker died", "WORKER_DIED")] * failures
    found = _settled(http, http.post("/predictions", content=image).json()["explanation"])
    if failures == 1:
        assert (found["state"], found["method"]) == ("ready", "grad-cam")
    else:
        assert found == {"state": "failed", "problem": "grad-cam: the worker died"}


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (InvalidArgumentError("image is no image", "IMAGE_NOT_RECOGNISED"), 422, {}),
        (ResourceExhaustedError("the queue is full", "QUEUE_FULL", retry_after=3.0), 503, {"retry-after": "3"}),
        (UnimplementedError("not here", "NOT_HERE"), 503, {"retry-after": "1"}),
    ],
)
def test_what_cannot_be_predicted_is_told(
    http: TestClient, service: FakeService, error: CamserveError, status: int, headers: dict[str, str]
) -> None:
    service.failures = [error]
    answered = http.post("/predictions", content=b"an image")
    assert answered.status_code == status
    assert answered.json() == {"detail": error.message}
    assert {name: value for name, value in answered.headers.items() if name == "retry-after"} == headers


def test_an_explanation_that_is_not_there(http: TestClient) -> None:
    assert http.get("/explanations/none").status_code == 404
    assert http.get("/explanations/none/overlay.png").status_code == 404
