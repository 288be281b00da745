"""Progress and bulk through the whole service: what TorchServe's own streams do, no double can tell."""

import io
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import psutil
import pytest
from PIL import Image

from camserve import ExplanationClient, Progress, stream_item
from camserve.results import ExplainResult
from gateway.launcher.server import Server
from model_store.scenes.demo import demo_scenes
from model_store.scenes.drawing import draw

MODEL = "scenes-classifier"


@pytest.fixture(scope="module")
def image() -> bytes:
    file = io.BytesIO()
    Image.fromarray(draw(demo_scenes()[0][1], 240, 240)).save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.fixture(scope="module")
def client(service: Server) -> Iterator[ExplanationClient]:
    with ExplanationClient(service.address, timeout=120) as client:
        yield client


@pytest.fixture(autouse=True)
def same_workers(service: Server) -> Iterator[None]:
    """No test here costs a worker its life."""
    before = _workers(service)
    yield
    assert _workers(service) == before


def _workers(service: Server) -> set[int]:
    tree = psutil.Process(service.process.pid).children(recursive=True)
    return {process.pid for process in tree if "model_service_worker" in " ".join(process.cmdline())}


def test_progress_of_opti_cam(client: ExplanationClient, image: bytes) -> None:
    options = {"steps": 40}
    *events, result = client.explain_progress(image, model=MODEL, method="opti-cam", options=options, map_every=10)
    assert isinstance(result, ExplainResult)
    told = [event for event in events if isinstance(event, Progress)]
    assert len(told) == len(events) > 2
    assert all(a.step < b.step for a, b in pairwise(told))
    assert {event.steps for event in told} == {40}
    assert told[-1].step == result.explanation.steps_done
    assert all(a.objectives[0] <= b.objectives[0] for a, b in pairwise(told))
    maps = [event for event in told if event.heatmaps]
    assert 2 <= len(maps) <= 5
    assert maps[0].heatmaps[0].values.shape == result.explanation.heatmap.values.shape
    plain = client.explain(image, model=MODEL, method="opti-cam", options=options)
    np.testing.assert_allclose(
        result.explanation.heatmap.values, plain.explanation.heatmap.values, rtol=1e-4, atol=1e-5
    )
    assert result.explanation.steps_done == plain.explanation.steps_done


def test_a_method_without_steps(client: ExplanationClient, image: bytes) -> None:
    (result,) = client.explain_progress(image, model=MODEL, method="grad-cam")
    assert isinstance(result, ExplainResult)


def test_the_method_stops_when_its_caller_goes_away(client: ExplanationClient, image: bytes) -> None:
    events = client.explain_progress(image, model=MODEL, method="opti-cam", options={"steps": 1000}, targets=range(10))
    first = next(events)
    assert isinstance(first, Progress)
    assert first.step < 10
    del events
    # Left alone, the one worker would be busy until the deadline of the call that went: two minutes.
    assert client.explain(image, model=MODEL, timeout=60).explanations


def test_an_anytime_method_answers_within_the_deadline(client: ExplanationClient, image: bytes) -> None:
    result = client.explain(
        image, model=MODEL, method="opti-cam", options={"steps": 1000}, targets=range(10), timeout=8
    )
    for explanation in result.explanations:
        assert "budget_exhausted" in [warning.code for warning in explanation.warnings]
        assert 0 <= (explanation.steps_done or 0) < 1000


def test_a_hundred_items(client: ExplanationClient, image: bytes) -> None:
    names = [f"item-{number}" for number in range(100)]
    items = (stream_item(name, image, model=MODEL, request_id=name) for name in names)
    results = {each.id: each.result for each in client.explain_stream(items)}
    assert set(results) == set(names)
    assert all(result.request_id == name for name, result in results.items())
    assert max(result.timing.pack_size for result in results.values()) <= 8


def test_a_stream_that_is_left_midway(client: ExplanationClient, image: bytes) -> None:
    def endless() -> Iterator[object]:
        number = 0
        while True:
            yield stream_item(str(number), image, model=MODEL)
            number += 1

    results = client.explain_stream(endless())  # type: ignore[arg-type]
    for _ in range(20):
        assert next(results).result.explanations
    del results
    assert client.explain(image, model=MODEL).explanations
