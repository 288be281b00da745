"""Every method that a model lists, asked for by the command, through the whole service."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camserve import ExplanationClient
from camserve.cli import main
from gateway.launcher.server import Server, run_server
from model_store.scenes.demo import demo_scenes
from model_store.scenes.drawing import draw

pytestmark = pytest.mark.slow

MODELS = ["scenes-classifier", "resnet50", "vit_b_16"]
SMALL = {"samples": 2, "steps": 4, "max_channels": 8}
"""Options that keep methods of many forwards short, where a method has them."""


@pytest.fixture(scope="module")
def zoo() -> Iterator[Server]:
    with run_server("--models", ",".join(MODELS)) as server:
        yield server


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "scene.png"
    Image.fromarray(draw(demo_scenes()[0][1], 320, 240)).save(path)
    return path


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.timeout(900)  # a busy machine may take minutes
def test_every_method_explains(
    zoo: Server, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    with ExplanationClient(zoo.address) as client:
        methods = client.model(model).methods
    assert len(methods) > 20
    for method in methods:
        out = tmp_path / f"{method.id}.png"
        options = [f"--option={option.name}={SMALL[option.name]}" for option in method.options if option.name in SMALL]
        arguments = ["--model", model, "--method", method.id, *options, "--out", str(out), "--json", "--timeout", "200"]
        assert main(["explain", str(picture), "--server", zoo.address, *arguments]) == 0, capsys.readouterr().err
        answer = json.loads(capsys.readouterr().out)
        assert Image.open(io.BytesIO(out.read_bytes())).size == (320, 240)
        assert json.dumps(answer).count(method.id) > 0


def test_a_method_that_does_not_fit_the_model_is_refused(
    zoo: Server, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", "scenes-classifier", "--method", "attention-rollout", "--server", zoo.address]
    assert main(["explain", str(picture), *arguments]) == 2
    assert "attention-rollout" in capsys.readouterr().err


def test_maps_of_convolutions_and_tokens_have_their_grids(zoo: Server, picture: Path) -> None:
    with ExplanationClient(zoo.address) as client:
        for model, shape in (("resnet50", (7, 7)), ("vit_b_16", (14, 14))):
            explanation = client.explain(picture, model=model).explanation
            assert explanation.heatmap.values.shape == shape
            assert np.isfinite(explanation.heatmap.values).all()
            assert "random" in " ".join(warning.message for warning in explanation.warnings)
