"""Both clients against a real gRPC server: requests, results, deadlines, retries and errors."""

import asyncio
import inspect
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from camserve import AsyncExplanationClient, CamserveError, ExplanationClient, caption
from camserve.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
    UnimplementedError,
)
from camserve.rendering import encode_png
from tests.client.fake_service import MAP, FakeService

IMAGE = encode_png(np.full((30, 40, 3), 200, dtype=np.uint8))

Call = Callable[..., Any]


def _sync(address: str, rpc: str, /, *arguments: Any, client_timeout: float = 30.0, **options: Any) -> Any:
    with ExplanationClient(address, timeout=client_timeout) as client:
        return getattr(client, rpc)(*arguments, **options)


def _async(address: str, rpc: str, /, *arguments: Any, client_timeout: float = 30.0, **options: Any) -> Any:
    async def call() -> Any:
        async with AsyncExplanationClient(address, timeout=client_timeout) as client:
            return await getattr(client, rpc)(*arguments, **options)

    return asyncio.run(call())


@pytest.fixture(params=[_sync, _async], ids=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Call:
    """Calls one method of one of the clients."""
    chosen: Call = request.param
    return chosen


def test_explain(call: Call, address: str, service: FakeService) -> None:
    result = call(
        address,
        "explain",
        IMAGE,
        model="scenes-classifier",
        targets=["star", 0],
        method="grad-cam++",
        layers=["stem"],
        options={"steps": 5},
        request_id="mine",
    )
    request = service.requests[0]
    assert request.image == IMAGE
    assert [request.targets[0].class_target.label, request.targets[1].class_target.index] == ["star", 0]
    assert request.options.steps == 5
    assert (result.model, result.version, result.request_id) == ("scenes-classifier", "1", "mine")
    assert (result.prediction.label, result.prediction.probability) == ("circle", 0.75)
    assert [explanation.target.label for explanation in result.explanations] == ["star", "circle"]
    assert result.image_size == (30, 40)
    explanation = result.explanation
    assert (explanation.method, explanation.layers) == ("grad-cam++", ("stem",))
    np.testing.assert_array_equal(explanation.heatmap.values, MAP)
    assert explanation.heatmap.on_image().shape == (30, 40)
    assert explanation.proto.score == explanation.score == 4.5


def test_predict(call: Call, address: str, service: FakeService) -> None:
    result = call(address, "predict", IMAGE, model="scenes-classifier", top_k=1)
    assert service.requests[0].top_k == 1
    assert [prediction.label for prediction in result.predictions] == ["circle"]
    result = call(address, "predict", IMAGE, model="scenes-answerer", question="what colour?")
    assert (result.prediction.kind, result.prediction.label) == ("answer", "red")


@pytest.mark.usefixtures("service")
def test_models(call: Call, address: str) -> None:
    assert [model.task for model in call(address, "models")] == ["answer", "caption", "classify"]
    assert [model.name for model in call(address, "models", "caption")] == ["scenes-captioner"]
    model = call(address, "model", "scenes-classifier")
    assert model.labels == ("circle", "star", "square")
    assert model.input_size == (112, 112)
    assert (model.fit, model.weights, model.ready) == ("stretch", "trained", True)
    assert [(method.id, method.cost) for method in model.methods][1:] == [("grad-cam", "few"), ("opti-cam", "many")]
    assert model.methods[1].options[0].minimum == 1
    assert call(address, "server_version") == version("camserve")
    assert model.methods[1].options[0].maximum is None
    assert model.limits.max_targets == 16


@pytest.mark.usefixtures("service")
def test_the_overlay_is_drawn_on_the_image_that_was_explained(call: Call, address: str, tmp_path: Path) -> None:
    result = call(address, "explain", IMAGE, model="scenes-classifier", target="circle")
    result.explanation.overlay(tmp_path / "overlay.png", colormap="jet")
    picture = np.asarray(Image.open(tmp_path / "overlay.png"))
    assert picture.shape == (30, 40, 3)
    assert picture[29, 39].tolist() == [164, 100, 100]  # the largest cell: half the image, half jet's dark red
    assert picture[0, 0].tolist() == [100, 100, 164]


def test_a_deadline_is_always_set(call: Call, address: str, service: FakeService) -> None:
    call(address, "models")
    assert 0 < service.time_remaining < 35  # gRPC rounds deadlines up on the wire
    call(address, "models", client_timeout=1000)
    assert 35 < service.time_remaining < 1100
    call(address, "models", timeout=2000)
    assert 1100 < service.time_remaining < 2200


def test_a_deadline_that_passes(call: Call, address: str, service: FakeService) -> None:
    service.blocked.clear()
    with pytest.raises(DeadlineExceededError, match=r"no answer within 0\.2 s") as caught:
        call(address, "explain", IMAGE, model="scenes-classifier", timeout=0.2)
    service.blocked.set()
    assert caught.value.reason == "DEADLINE_EXCEEDED"


def test_a_timeout_must_be_positive(call: Call) -> None:
    with pytest.raises(ValueError, match="timeout: expected seconds above 0, got 0"):
        call("127.0.0.1:1", "models", timeout=0)
    with pytest.raises(ValueError, match="timeout"):
        call("127.0.0.1:1", "models", client_timeout=-1)


def test_unavailable_is_retried(call: Call, address: str, service: FakeService) -> None:
    service.failures = [UnavailableError("no worker", "NO_WORKER")] * 2
    assert len(call(address, "models")) == 3
    assert service.calls == 3


def test_retries_come_to_an_end(call: Call, address: str, service: FakeService) -> None:
    service.failures = [UnavailableError("no worker", "NO_WORKER")] * 9
    with pytest.raises(UnavailableError, match="no worker") as caught:
        call(address, "models")
    assert caught.value.reason == "NO_WORKER"
    assert service.calls == 4


def test_large_images_are_retried_too(call: Call, address: str, service: FakeService) -> None:
    service.failures = [UnavailableError("no worker", "NO_WORKER")]
    image = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
    assert call(address, "explain", image, model="scenes-classifier").prediction.label == "circle"
    assert [len(request.image) > 2_000_000 for request in service.requests] == [True, True]


@pytest.mark.parametrize(
    "kind",
    [
        InvalidArgumentError,
        NotFoundError,
        FailedPreconditionError,
        ResourceExhaustedError,
        DeadlineExceededError,
        UnimplementedError,
        InternalError,
    ],
)
def test_other_errors_are_not_retried_and_keep_their_details(
    call: Call, address: str, service: FakeService, kind: type[CamserveError]
) -> None:
    sent = kind("it is so", "IT_IS_SO", field="image", retry_after=1.5, metadata={"limit": "7"})
    service.failures = [sent]
    with pytest.raises(kind) as caught:
        call(address, "explain", IMAGE, model="scenes-classifier")
    assert service.calls == 1
    error = caught.value
    assert (error.message, error.reason, error.retry_after) == ("it is so", "IT_IS_SO", 1.5)
    assert error.violations == sent.violations
    assert error.metadata == {"limit": "7"}


def test_a_server_that_is_not_there(call: Call) -> None:
    with pytest.raises(UnavailableError, match=r"no camserve server answers at 127\.0\.0\.1:1") as caught:
        call("127.0.0.1:1", "models", timeout=5)
    assert caught.value.reason == "SERVER_UNREACHABLE"


def test_bad_arguments_are_refused_before_anything_is_sent(call: Call, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"nope\.jpg"):
        call("127.0.0.1:1", "explain", tmp_path / "nope.jpg", model="m")
    with pytest.raises(ValueError, match="polarity: 'both' is not one of support, counter"):
        call("127.0.0.1:1", "explain", IMAGE, model="m", polarity="both")
    with pytest.raises(ValueError, match="target for one or targets for several"):
        call("127.0.0.1:1", "explain", IMAGE, model="m", target=1, targets=[caption()])


async def test_async_calls_run_side_by_side(address: str, service: FakeService) -> None:
    async with AsyncExplanationClient(address) as client:
        calls = [client.explain(IMAGE, model="scenes-classifier", request_id=str(i)) for i in range(20)]
        results = await asyncio.gather(*calls)
    assert [result.request_id for result in results] == [str(i) for i in range(20)]
    assert service.calls == 20


@pytest.mark.parametrize("name", ["__init__", "explain", "predict", "models", "model", "close"])
def test_both_clients_have_the_same_signatures(name: str) -> None:
    sync, aio = (inspect.signature(getattr(cls, name)) for cls in (ExplanationClient, AsyncExplanationClient))
    assert sync == aio
