"""Measured maps, through the whole service."""

import io
import urllib.request
from collections.abc import Iterator

import pytest
from PIL import Image

from camserve import ExplanationClient, stream_item
from camserve.explanation import Faithfulness
from camserve.results import ExplainResult
from gateway.launcher.server import Server
from model_store.scenes.demo import demo_scenes
from model_store.scenes.drawing import draw

MODEL = "scenes-classifier"
SCENE = next(scene for _, scene in demo_scenes() if len({thing.shape for thing in scene.objects}) == 2)
CLASSES = sorted({thing.shape for thing in SCENE.objects})


@pytest.fixture(scope="module")
def image() -> bytes:
    file = io.BytesIO()
    Image.fromarray(draw(SCENE, 240, 240)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def client(service: Server) -> Iterator[ExplanationClient]:
    with ExplanationClient(service.address, timeout=120) as client:
        yield client


def _figures(result: ExplainResult) -> list[Faithfulness]:
    """Those of all maps, which must be there."""
    assert not [w for explanation in result.explanations for w in explanation.warnings if w.code == "not_measured"]
    found = [explanation.faithfulness for explanation in result.explanations if explanation.faithfulness]
    assert len(found) == len(result.explanations)
    return found


@pytest.mark.parametrize("method", ["grad-cam", "layer-cam", "hires-cam", "recipro-cam"])
def test_without_a_wall_all_of_a_map_is_seen(client: ExplanationClient, image: bytes, method: str) -> None:
    for figures in _figures(client.explain(image, model=MODEL, targets=CLASSES, method=method, faithfulness=True)):
        assert figures.unseen_share < 0.01
        assert 0 <= figures.average_drop <= 100
        assert figures.increase == (figures.average_gain > 0)
        assert figures.deletion_auc < figures.insertion_auc


def test_what_speaks_against_a_class_is_measured_too(client: ExplanationClient, image: bytes) -> None:
    result = client.explain(
        image, model=MODEL, targets=CLASSES, method="hires-cam", polarity="counter", faithfulness=True
    )
    for figures in _figures(result):
        assert figures.deletion_auc < figures.insertion_auc


def test_all_ways_to_ask_give_the_same_figures(client: ExplanationClient, image: bytes) -> None:
    options = {"steps": 4}
    plain = client.explain(image, model=MODEL, method="opti-cam", options=options, faithfulness=True)
    *_, watched = client.explain_progress(image, model=MODEL, method="opti-cam", options=options, faithfulness=True)
    assert isinstance(watched, ExplainResult)
    items = [
        stream_item(str(number), image, model=MODEL, method="opti-cam", options=options, faithfulness=number % 2 == 0)
        for number in range(6)
    ]
    streamed = {each.id: each.result for each in client.explain_stream(items)}
    for result in (watched, streamed["0"], streamed["2"], streamed["4"]):
        (expected,), (found,) = _figures(plain), _figures(result)
        assert vars(found) == pytest.approx(vars(expected), rel=1e-2, abs=1e-3)
    assert all(streamed[number].explanation.faithfulness is None for number in ("1", "3", "5"))


def test_measuring_keeps_to_the_deadline(client: ExplanationClient, image: bytes) -> None:
    result = client.explain(
        image, model=MODEL, targets=range(8), method="opti-cam", options={"steps": 1000}, timeout=8, faithfulness=True
    )
    for explanation in result.explanations:
        codes = [warning.code for warning in explanation.warnings]
        assert "budget_exhausted" in codes
        assert ("not_measured" in codes) == (explanation.faithfulness is None)


def test_figures_are_counted(service: Server, client: ExplanationClient, image: bytes) -> None:
    labels = f'figure="unseen_share",method="eigen-cam",model="{MODEL}",task="classify"'
    client.explain(image, model=MODEL, method="eigen-cam", faithfulness=True)
    with urllib.request.urlopen(f"http://{service.metrics_address}/metrics", timeout=10) as reply:
        assert f"camserve_faithfulness_ratio_count{{{labels}}} 1.0" in reply.read().decode()
