import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from model_store.recipe import RecipeError, load_recipe, model_folders, read_lines
from tests.recipes import LABELS, recipe_data, write_model


def test_reads_a_folder_and_a_file(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "shapes")
    recipe = load_recipe(folder)
    assert recipe == load_recipe(folder / "recipe.yaml")
    assert (recipe.name, recipe.version, recipe.preprocessing.size) == ("shapes", "1", (32, 48))
    assert recipe.labels == tuple(LABELS)
    assert recipe.files == ("recipe.yaml", "model.py", "weights.safetensors", "labels.txt")
    assert recipe.worker.count == 1
    assert recipe.explanation.method == "grad-cam"


def test_labels_may_be_inline(tmp_path: Path) -> None:
    data = recipe_data()
    del data["labels_file"]
    recipe = load_recipe(write_model(tmp_path, {**data, "labels": ["one", "two"]}))
    assert recipe.labels == ("one", "two")


def test_cannot_be_changed(tmp_path: Path) -> None:
    recipe = load_recipe(write_model(tmp_path))
    with pytest.raises(ValidationError, match="frozen"):
        recipe.name = "other"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Shapes"}, "name: string should match"),
        ({"version": 1}, "version: must be text; write it in quotes"),
        ({"version": "1-2"}, "version: string should match"),
        ({"task": "detect"}, "task: input should be 'classify', 'caption' or 'answer'"),
        ({"description": "two\nlines"}, "description: string should match"),
        ({"colour": "red"}, "colour: not a key of recipes"),
        ({"name": None}, "name: must be text"),
        ({"source": {}}, "source: give exactly one of python, torchvision"),
        (
            {"source": {"torchvision": {"name": "a"}, "timm": {"name": "a"}}},
            "source: give exactly one of python, torchvision",
        ),
        (
            {"source": {"python": {"file": "../model.py", "factory": "build"}}},
            "source.python.file: must be a file inside",
        ),
        (
            {"source": {"python": {"file": "/etc/model.py", "factory": "build"}}},
            "source.python.file: must be a file ins",
        ),
        ({"source": {"python": {"file": "model.txt", "factory": "build"}}}, "source.python.file: string should match"),
        ({"source": {"python": {"file": "gone.py", "factory": "build"}}}, "source.python.file: there is no file"),
        ({"source": {"python": {"file": "model.py", "factory": "a b"}}}, "source.python.factory: string should match"),
        ({"weights": {}}, "weights: give exactly one of file"),
        ({"weights": {"random": True, "file": "weights.safetensors"}}, "weights: give exactly one of file"),
        ({"weights": {"file": "weights.safetensors", "seed": 1}}, "weights: seed goes with random"),
        ({"weights": {"file": "weights.pkl"}}, "weights: file must end in .safetensors, .pt or .pth"),
        ({"weights": {"file": "gone.safetensors"}}, "weights.file: there is no file"),
        ({"weights": {"pretrained": True}}, "weights.pretrained goes with a library's network"),
        ({"source": {"transformers": {}}}, "source.transformers: give exactly one of name"),
        ({"source": {"transformers": {"config": "config.json"}}}, "source.transformers.config: there is no file"),
        (
            {"source": {"transformers": {"config": "config.json"}}, "weights": {"pretrained": True}},
            "weights.pretrained goes with source.transformers.name",
        ),
        (
            {"source": {"transformers": {"name": "a/b", "files": ["tokenizer.json"]}}, "weights": {"random": True}},
            "source.transformers: files goes with config only",
        ),
        ({"source": {"timm": {"name": "a"}}, "task": "caption"}, "source must be python or transformers for the task"),
        ({"task": "caption"}, "vocabulary goes with source.python of a captioner or answerer"),
        ({"vocabulary": "words.txt"}, "vocabulary goes with source.python of a captioner or answerer"),
        ({"task": "answer", "vocabulary": "gone.txt"}, "vocabulary: there is no file"),
        ({"labels": ["a", "b"]}, "labels: give labels or labels_file, not both"),
        ({"units_file": "gone.yaml"}, "units_file: there is no file"),
        ({"units_file": "labels.txt", "units": {"layers": {}}}, "units: give units or units_file, not both"),
        ({"labels_file": "gone.txt"}, "labels_file: there is no file"),
        ({"labels": ["a", "a"]}, "labels: must not repeat; given more than once: a"),
        ({"labels": [True, "no"]}, r"labels\[0\]: must be text; write it in quotes"),
        ({"labels": []}, "labels: "),
        ({"limits": {"max_targets": 0}}, "limits.max_targets: input should be greater than or equal to 1"),
        ({"limits": {"min_image_side": 100, "max_image_side": 50}}, "limits: min_image_side must not be above"),
        ({"worker": {"count": 0}}, "worker.count: input should be greater"),
        ({"explanation": {"method": "Grad CAM"}}, "explanation.method: string should match"),
    ],
)
def test_names_the_file_and_the_key_at_fault(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write_model(tmp_path, recipe_data() | change)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(folder)
    assert all(line.startswith(str(folder / "recipe.yaml")) for line in str(caught.value).splitlines())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": [32]}, r"preprocessing.size\[1\]: is missing"),
        ({"size": [8, 32]}, r"preprocessing.size\[0\]: input should be greater than or equal to 16"),
        ({"size": [32, 32, 3]}, "preprocessing.size: "),
        ({"fit": "squash"}, "preprocessing.fit: input should be 'stretch', 'crop' or 'pad'"),
        ({"mean": [0.5, 0.5]}, r"preprocessing.mean\[2\]: is missing"),
        ({"mean": [0.5, 0.5, float("nan")]}, r"preprocessing.mean\[2\]: "),
        ({"crop_share": 0.875}, "preprocessing: crop_share goes with fit: crop only"),
        ({"fit": "crop", "crop_share": 0.0}, "preprocessing.crop_share: input should be greater than 0"),
        ({"fit": "crop", "crop_share": 1.5}, "preprocessing.crop_share: input should be less than or equal to 1"),
        ({"std": [0.25, 0.0, 0.25]}, r"preprocessing.std\[1\]: input should be greater than 0"),
        ({"std": [0.25, float("inf"), 0.25]}, r"preprocessing.std\[1\]: "),
    ],
)
def test_checks_preprocessing(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    data = recipe_data()
    data["preprocessing"] |= change
    with pytest.raises(RecipeError, match=message):
        load_recipe(write_model(tmp_path, data))


def test_all_that_is_read_is_packed(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\n\n dog \n")
    recipe = load_recipe(write_model(tmp_path, recipe_data() | {"task": "caption", "vocabulary": "words.txt"}))
    assert recipe.files == ("recipe.yaml", "model.py", "weights.safetensors", "labels.txt", "words.txt")
    assert read_lines(tmp_path / "words.txt") == ["a", "dog"]
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_text("{}")
    source = {"transformers": {"config": "config.json", "files": ["tokenizer.json", "tokenizer_config.json"]}}
    recipe = load_recipe(write_model(tmp_path, recipe_data() | {"task": "caption", "source": source}))
    assert {"config.json", "tokenizer.json", "tokenizer_config.json"} < set(recipe.files)


UNITS = {"layers": {"stage4": {0: {"name": "star", "iou": 0.25}}}}


def _write_units(folder: Path, units: object) -> None:
    (folder / "units.yaml").write_text(yaml.safe_dump(units))


def test_units_are_read_from_their_file_and_packed(tmp_path: Path) -> None:
    _write_units(tmp_path, UNITS)
    recipe = load_recipe(write_model(tmp_path, recipe_data() | {"units_file": "units.yaml"}))
    assert recipe.units is not None
    assert recipe.units.layers["stage4"][0].name == "star"
    assert "units.yaml" in recipe.files
    inline = load_recipe(write_model(tmp_path / "inline", recipe_data() | {"units": UNITS}))
    assert inline.units == recipe.units


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"layers": {"stage4": {-1: {"name": "star", "iou": 0.25}}}}, r"units.layers.stage4.* greater than or equal"),
        ({"layers": {"stage4": {0: {"name": "star", "iou": 2}}}}, r"units.layers.stage4.*iou: input should be less"),
        ({"layers": {"stage4": {0: {"iou": 0.1}}}}, r"units.layers.stage4.*name: is missing"),
        ({"weights": "abc", **UNITS}, "units.weights: string should match"),
        ({"weights": "0" * 64, **UNITS}, "units: they were found in other weights .* evaluation.dissection --model"),
        ([], "units.yaml: must be a mapping"),
    ],
)
def test_names_what_is_wrong_with_units(tmp_path: Path, units: object, message: str) -> None:
    _write_units(tmp_path, units)
    folder = write_model(tmp_path, recipe_data() | {"units_file": "units.yaml"})
    with pytest.raises(RecipeError, match=message):
        load_recipe(folder)
    assert load_recipe(folder, units=False).units is None  # what is to write them again can read the rest


def test_units_of_the_weights_that_are_there(tmp_path: Path) -> None:
    folder = write_model(tmp_path, recipe_data() | {"units_file": "units.yaml"})
    digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    _write_units(folder, {"weights": digest, **UNITS})
    units = load_recipe(folder).units
    assert units is not None
    assert units.weights == digest


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "score-cam", "guided-grad-cam", "lime"])
def test_takes_method_ids(tmp_path: Path, method: str) -> None:
    data = recipe_data() | {"explanation": {"method": method}}
    assert load_recipe(write_model(tmp_path, data)).explanation.method == method


def test_names_all_faults_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write_model(tmp_path, recipe_data() | {"name": "A B", "task": "x", "bogus": 1}))
    assert len(str(caught.value).splitlines()) == 3


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    outside = tmp_path / "outside.py"
    (folder / "model.py").rename(outside)
    (folder / "model.py").symlink_to(outside)
    with pytest.raises(RecipeError, match=r"source.python.file: model.py leads out of the model's folder"):
        load_recipe(folder)


def _cut(file: Path) -> None:
    file.write_bytes((1000).to_bytes(8, "little") + b'{"a":')


def _pointer(file: Path) -> None:
    file.write_text("version https://git-lfs.github.com/spec/v1\n")


def _empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [_cut, _pointer, _empty])
def test_damaged_weights_are_found(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = write_model(tmp_path)
    damage(folder / "weights.safetensors")
    with pytest.raises(RecipeError, match=r"weights.file: weights.safetensors is not a whole safetensors file"):
        load_recipe(folder)


def test_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path, recipe_data() | {"weights": {"file": "weights.pt"}})
    (folder / "weights.pt").write_bytes(b"\x80\x04}.")
    with pytest.raises(RecipeError, match=r"weights.file: weights.pt is not a file of torch.save"):
        load_recipe(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [("- a\n- b\n", "must be a mapping"), ("name: [", "not readable as YAML"), ("", "must be a mapping")],
)
def test_text_that_is_no_recipe(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(tmp_path)


def test_no_recipe_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no such file; a model's folder holds a recipe.yaml"):
        load_recipe(tmp_path)


def test_finds_the_folders_of_a_store(tmp_path: Path) -> None:
    write_model(tmp_path / "b")
    write_model(tmp_path / "a")
    (tmp_path / "scenes").mkdir()
    assert model_folders(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(RecipeError, match=r"no folder here holds a recipe.yaml"):
        model_folders(tmp_path / "a")


@pytest.mark.parametrize(
    ("value", "precision"),
    [(True, "float32"), ({}, "float32"), ({"precision": "bfloat16"}, "bfloat16"), (False, None), (None, None)],
)
def test_optimize_is_a_switch_or_says_how(tmp_path: Path, value: object, precision: str | None) -> None:
    optimize = load_recipe(write_model(tmp_path, recipe_data() | {"optimize": value})).optimize
    assert (optimize and optimize.precision) == precision


def test_optimize_of_another_precision_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path, recipe_data() | {"optimize": {"precision": "int8"}})
    with pytest.raises(RecipeError, match=r"optimize\.precision: input should be 'float32' or 'bfloat16'"):
        load_recipe(folder)
