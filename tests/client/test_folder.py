import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camserve import ExplanationClient, class_target, folder
from camserve.cli import main
from camserve.errors import UnavailableError
from camserve.folder import ArgumentsChangedError, FolderProgress, explain_folder
from camserve.folder_output import FORMS, ParquetOutput, folder_output
from camserve.progress_bar import ProgressBar
from tests.client.fake_service import MAP, FakeService

MODEL = "scenes-classifier"


def picture_bytes() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 24), "gray").save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six images in two folders, and what is none."""
    photos = tmp_path / "photos"
    (photos / "inner").mkdir(parents=True)
    for name in ("a.png", "b.JPG", "c.webp", "inner/a.png", "inner/d.png", "inner/\u00e9 e.png"):
        (photos / name).write_bytes(picture_bytes())
    (photos / "notes.txt").write_text("no image")
    return photos


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "_PAUSES_S", (0.01, 0.01, 0.01))


def run(address: str, photos: Path, out: Path, form: str = "npz", streams: int = 1, **more: object) -> FolderProgress:
    arguments: dict[str, object] = {"model": MODEL, "targets": [class_target(label="star")], **more}
    with ExplanationClient(address) as client:
        return explain_folder(client, photos, folder_output(form, out), streams=streams, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("streams", [1, 3])
def test_a_file_for_each_image(address: str, photos: Path, tmp_path: Path, streams: int) -> None:
    state = run(address, photos, tmp_path / "out", streams=streams)
    assert (state.total, state.before, state.done, state.failed) == (6, 0, 6, {})
    with np.load(tmp_path / "out/maps/inner/\u00e9 e.png.npz") as found:
        np.testing.assert_array_equal(found["maps"], MAP[None])
        assert found["boxes"].shape == (1, 4)
        assert (found["targets"].tolist(), found["model"].item(), found["method"].item()) == (
            ["star"],
            MODEL,
            "grad-cam",
        )
    assert len(list((tmp_path / "out/overlays").rglob("*.png"))) == 6
    assert (tmp_path / "out/failed.jsonl").read_text() == ""


def test_tables(address: str, photos: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    state = run(
        address, photos, tmp_path / "out", "parquet", targets=[class_target(label="star"), class_target(index=0)]
    )
    assert state.done == 6
    rows = pq.read_table(tmp_path / "out/maps").to_pylist()
    assert len(rows) == 12
    row = next(row for row in rows if row["image"] == "b.JPG" and row["target"] == "star")
    np.testing.assert_array_equal(np.array(row["map"], np.float32).reshape(row["height"], row["width"]), MAP)
    assert (row["model"], row["image_width"], len(row["box"])) == (MODEL, 32, 4)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_there_is_not_made_again(
    address: str, service: FakeService, photos: Path, tmp_path: Path, form: str
) -> None:
    run(address, photos, tmp_path / "out", form)
    asked = len(service.requests)
    (photos / "new.png").write_bytes(picture_bytes())
    state = run(address, photos, tmp_path / "out", form)
    assert (state.total, state.before, state.done) == (7, 6, 1)
    assert len(service.requests) == asked + 1
    assert run(address, photos, tmp_path / "out", form).before == 7


def test_an_interrupted_run_leaves_only_whole_files(
    address: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(state: FolderProgress) -> None:
        if state.done == 2:
            raise KeyboardInterrupt

    out = folder_output("npz", tmp_path / "out")
    with ExplanationClient(address) as client, pytest.raises(KeyboardInterrupt):
        explain_folder(client, photos, out, progress=interrupted, model=MODEL, targets=[class_target(label="star")])
    left = out.known()
    assert 2 <= len(left) < 6
    for name in left:
        np.load(tmp_path / f"out/maps/{name}.npz")["maps"]
    assert run(address, photos, tmp_path / "out").done == 6 - len(left)


def test_other_arguments_need_another_folder(address: str, photos: Path, tmp_path: Path) -> None:
    run(address, photos, tmp_path / "out")
    with pytest.raises(ArgumentsChangedError, match=r"other arguments, which .*arguments\.json has"):
        run(address, photos, tmp_path / "out", method="layer-cam")


def test_an_image_that_fails_is_told_of_and_tried_again(address: str, photos: Path, tmp_path: Path) -> None:
    (photos / "broken.png").write_bytes(b"no image")
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    state = run(address, photos, tmp_path / "out")
    assert state.done == 6
    assert set(state.failed) == {"broken.png"}  # a link to nothing is no file
    (line,) = (tmp_path / "out/failed.jsonl").read_text().splitlines()
    assert json.loads(line)["image"] == "broken.png"
    (photos / "broken.png").write_bytes(picture_bytes())
    state = run(address, photos, tmp_path / "out")
    assert (state.before, state.done, state.failed) == (6, 1, {})


def test_a_server_that_fails_for_a_while_is_waited_for(
    address: str, service: FakeService, photos: Path, tmp_path: Path
) -> None:
    service.failures = [UnavailableError("away", "WORKER_UNAVAILABLE")] * 2
    state = run(address, photos, tmp_path / "out")
    assert (state.done, state.failed) == (6, {})
    assert service.failures == []


def test_a_server_that_is_not_there_is_given_up(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        run("127.0.0.1:1", photos, tmp_path / "out")


def test_the_command(address: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["explain-dir", str(photos), "--out", str(tmp_path / "out"), "--server", address, "--class", "star"]
    assert main([*arguments, "--no-overlays"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"6 explained, 0 were before, 0 failed: {tmp_path / 'out'}\n"
    assert "6/6" in captured.err
    assert not (tmp_path / "out/overlays").exists()
    (photos / "broken.png").write_bytes(b"no image")
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert "failed.jsonl" in captured.err
    assert "0 explained, 6 were before, 1 failed" in captured.out
    assert main([*arguments, "--method", "layer-cam"]) == 2
    assert "other arguments" in capsys.readouterr().err
    assert main(["explain-dir", str(tmp_path / "no"), "--out", str(tmp_path / "out"), "--server", address]) == 2


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("camserve.folder_output.find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'camserve\[parquet\]'"):
        ParquetOutput(tmp_path)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar() -> None:
    for stream, lines in ((Terminal(), 3), (io.StringIO(), 1)):
        bar = ProgressBar(stream)
        bar.show(2, 10, 0)
        bar.show(9, 10, 1)
        bar.close()
        text = stream.getvalue()
        assert "[##############################] 10/10" in text
        assert "1 failed" in text
        assert len(text.replace("\r", "\n").split("\n")) - 1 == lines + isinstance(stream, Terminal)
