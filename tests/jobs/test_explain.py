"""The job of Ray Data, embedded: its maps are those of the service's own handler."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.explain import ExplainBatch, main
from model_store.scenes.demo import demo_scenes
from model_store.scenes.drawing import draw

MODEL = Path(__file__).parents[2] / "model_store" / "scenes-classifier"
REQUEST = {"targets": [{"class_target": {"label": "star"}}, {"class_target": {"rank": 0}}]}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, scene in list(demo_scenes())[:3]:
        Image.fromarray(draw(scene, 112, 112)).save(photos / f"{name}.png")
    (photos / "broken.jpg").write_bytes(b"no image")
    return photos


@pytest.mark.usefixtures("one_core")
def test_a_batch_has_a_row_for_each_target_and_each_failure(photos: Path) -> None:
    files = sorted(photos.iterdir())
    rows = ExplainBatch(str(MODEL), REQUEST)(
        {"path": [str(file) for file in files], "bytes": [file.read_bytes() for file in files]}
    )
    assert len(rows["image"]) == 7
    assert [error for error in rows["error"] if error] == [rows["error"][0]]
    assert Path(rows["image"][0]).name == "broken.jpg"
    assert set(rows["target"][1::2]) == {"star"}
    assert {len(values) for values in rows["map"][1:]} == {14 * 14}


@pytest.mark.slow
def test_the_job_runs_embedded(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install '.[cluster]'")
    pq = pytest.importorskip("pyarrow.parquet")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    out = tmp_path / "out"
    arguments = [str(photos), "--model", str(MODEL), "--out", str(out), "--request"]
    assert main([*arguments, '{"targets": [{"class_target": {"label": "star"}}]}']) == 0
    assert "4 rows" in capsys.readouterr().out
    rows = {Path(row["image"]).name: row for row in pq.read_table(out).to_pylist()}
    assert rows["broken.jpg"]["error"]
    pictures = [file for file in sorted(photos.iterdir()) if file.suffix == ".png"]
    batch = ExplainBatch(str(MODEL), {"targets": REQUEST["targets"][:1]})(
        {"path": [str(file) for file in pictures], "bytes": [file.read_bytes() for file in pictures]}
    )
    for file, values in zip(pictures, batch["map"], strict=True):
        np.testing.assert_allclose(rows[file.name]["map"], values, rtol=1e-4, atol=1e-5)
        assert rows[file.name]["target"] == "star"


def test_a_model_that_is_not_there(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(photos), "--model", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "recipe.yaml" in capsys.readouterr().err
