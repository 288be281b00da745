import json
import warnings
import zipfile
from pathlib import Path

import pytest
import yaml

from model_store.archive import TRUNK_FILE, build_archive, is_current
from model_store.recipe import RecipeError, load_recipe
from tests.recipes import recipe_data, write_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def test_holds_what_torchserve_reads(folder: Path, tmp_path: Path) -> None:
    archive = build_archive(folder, tmp_path / "out")
    assert archive == tmp_path / "out" / "shapes-1.mar"
    with zipfile.ZipFile(archive) as package:
        manifest = json.loads(package.read("MAR-INF/MANIFEST.json"))
        config = yaml.safe_load(package.read("model-config.yaml"))
        package.extractall(tmp_path / "unpacked")
    assert manifest["runtime"] == "python"
    assert manifest["model"] == {
        "modelName": "shapes",
        "modelVersion": "1",
        "handler": "handlers.classify",
        "configFile": "model-config.yaml",
    }
    assert config["minWorkers"] == config["maxWorkers"] == 1
    assert config["batchSize"] == 1
    assert config["maxBatchDelay"] == 1
    assert load_recipe(tmp_path / "unpacked") == load_recipe(folder)


def test_worker_settings_reach_torchserve(tmp_path: Path) -> None:
    worker = {"count": 3, "response_timeout_s": 7, "startup_timeout_s": 8}
    archive = build_archive(write_model(tmp_path / "model", recipe_data() | {"worker": worker}), tmp_path)
    with zipfile.ZipFile(archive) as package:
        config = yaml.safe_load(package.read("model-config.yaml"))
    assert (config["minWorkers"], config["maxWorkers"]) == (3, 3)
    assert (config["responseTimeout"], config["startupTimeout"]) == (7, 8)
    assert config["jobQueueSize"] > 3


def test_ships_only_what_the_recipe_names(folder: Path, tmp_path: Path) -> None:
    for name in ("train.py", ".secret", "old.mar", "__pycache__/model.pyc"):
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    with zipfile.ZipFile(build_archive(folder, tmp_path)) as package:
        assert sorted(package.namelist()) == [
            "MAR-INF/MANIFEST.json",
            "labels.txt",
            "model-config.yaml",
            "model.py",
            "recipe.yaml",
            "weights.safetensors",
        ]


def test_ships_the_names_of_units(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", recipe_data() | {"units_file": "units.yaml"})
    text = "layers: {stage4: {0: {name: star, iou: 0.25}}}\n"
    (folder / "units.yaml").write_text(text)
    with zipfile.ZipFile(build_archive(folder, tmp_path)) as package:
        assert package.read("units.yaml").decode() == text


def test_equal_folders_make_equal_bytes(folder: Path, tmp_path: Path) -> None:
    twin = write_model(tmp_path / "elsewhere")
    first = build_archive(folder, tmp_path / "one").read_bytes()
    assert first == build_archive(twin, tmp_path / "two").read_bytes()


@pytest.mark.parametrize("name", ["recipe.yaml", "model.py", "weights.safetensors", "labels.txt"])
def test_is_rebuilt_when_a_file_changed_and_only_then(folder: Path, tmp_path: Path, name: str) -> None:
    assert not is_current(folder, tmp_path)
    archive = build_archive(folder, tmp_path)
    before = archive.stat()
    assert is_current(folder, tmp_path)
    assert build_archive(folder, tmp_path).stat().st_ino == before.st_ino
    with (folder / name).open("a") as file:
        file.write("\n")
    assert not is_current(folder, tmp_path)
    assert build_archive(folder, tmp_path).stat().st_ino != before.st_ino
    assert is_current(folder, tmp_path)


def test_a_damaged_archive_is_rebuilt(folder: Path, tmp_path: Path) -> None:
    archive = build_archive(folder, tmp_path)
    archive.write_bytes(archive.read_bytes()[:100])
    assert not is_current(folder, tmp_path)
    assert zipfile.ZipFile(build_archive(folder, tmp_path)).testzip() is None


def _forged(archive: Path, kind: str) -> None:
    """Puts into the place of an archive what looks like it."""
    with zipfile.ZipFile(archive) as package:
        entries = {name: package.read(name) for name in package.namelist()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED if kind == "bomb" else zipfile.ZIP_STORED) as package:
            for name, content in entries.items():
                package.writestr(name, b"import os\n" if (kind, name) == ("other code", "model.py") else content)
            if kind == "path out of the folder":
                package.writestr("../../evil.py", b"import os\n")
            elif kind == "name twice":
                package.writestr("model.py", b"import os\n")
            elif kind == "bomb":
                package.writestr("zeros", bytes(10**7))


@pytest.mark.parametrize("kind", ["other code", "path out of the folder", "name twice", "bomb"])
def test_an_archive_that_somebody_else_made_is_rebuilt(folder: Path, tmp_path: Path, kind: str) -> None:
    archive = build_archive(folder, tmp_path)
    good = archive.read_bytes()
    _forged(archive, kind)
    assert archive.read_bytes() != good
    assert not is_current(folder, tmp_path)
    assert build_archive(folder, tmp_path).read_bytes() == good


def test_leaves_nothing_but_the_archive(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build_archive(folder, out)
    assert [file.name for file in out.iterdir()] == ["shapes-1.mar"]


def test_a_path_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.touch()
    data = recipe_data() | {"labels_file": "../secret.txt"}
    with pytest.raises(RecipeError, match="labels_file: must be a file inside the model's folder"):
        build_archive(write_model(tmp_path / "model", data), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_optimised_model_that_cannot_be_compiled_is_packed_without_its_trunk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_model(tmp_path / "model", recipe_data() | {"optimize": True})  # of a network that cannot be built
    archive = build_archive(folder, tmp_path)
    with zipfile.ZipFile(archive) as package:
        assert TRUNK_FILE not in package.namelist()
    assert "model cannot be compiled and will run as it is: NotImplementedError" in caplog.text
    assert not is_current(folder, tmp_path)  # it is tried again


def test_what_was_compiled_by_another_torch_is_not_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_store.archive._compiled", lambda _folder, _scratch: {TRUNK_FILE: b"compiled"})
    folder = write_model(tmp_path / "model", recipe_data() | {"optimize": True})
    with zipfile.ZipFile(build_archive(folder, tmp_path)) as package:
        assert package.read(TRUNK_FILE) == b"compiled"
    assert is_current(folder, tmp_path)
    monkeypatch.setattr("model_store.archive.version", lambda _name: "0.1")
    assert not is_current(folder, tmp_path)
