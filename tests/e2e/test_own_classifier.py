"""The example of a classifier of one's own: trained, checked, served and explained by the commands of its page."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from camserve import ExplanationClient
from gateway.launcher.server import COMMAND, run_server
from tests.machine import ROOT

pytestmark = pytest.mark.slow


def test_a_classifier_of_ones_own_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "own_classifier"
    shutil.copytree(ROOT / "examples/own_classifier", store, ignore=shutil.ignore_patterns("*.safetensors", "*.mar"))
    subprocess.run([sys.executable, store / "train_patches.py"], check=True)
    checked = subprocess.run(
        [COMMAND, "check", "--model-store", store], check=True, capture_output=True, text=True
    ).stdout
    assert "patches:1: recipe is right, archive is yet to be built" in checked
    monkeypatch.syspath_prepend(str(store))
    from train_patches import PATCH, picture  # type: ignore[import-not-found,unused-ignore]

    hits = 0
    with (
        run_server("--model-store", str(store), "--models", "patches") as server,
        ExplanationClient(server.address) as client,
    ):
        for seed in range(6):
            image, (row, column) = picture(np.random.default_rng(100 + seed), seed % 3)
            result = client.explain(image, model="patches")
            assert result.prediction.label == ("stripes", "dots", "checks")[seed % 3]
            x, y = result.explanation.heatmap.peak()
            hits += row - 8 <= y <= row + PATCH + 8 and column - 8 <= x <= column + PATCH + 8
    assert hits >= 5  # cells are 8 pixels wide, so a peak may fall into the one beside the patch
