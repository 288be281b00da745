"""The command: what it measures, that it goes on where it stopped, and what it says of what it cannot use."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from evaluation import cli
from evaluation.arguments import MODEL
from evaluation.choices import Choices
from evaluation.classifier import load_classifier
from evaluation.columns.case import Batch, Case
from evaluation.columns.measure import PerPicture
from evaluation.compare import BATCH
from evaluation.controls import centre, fake_cam
from evaluation.measures.faithfulness import Protocol
from evaluation.measures.pointing import energy_inside
from evaluation.methods import Contender
from evaluation.pictures.scenes import pictures
from saliency import explain, normalize, upsample
from tests.evaluation.conftest import patch, save
from tests.recipes import write_model

SCENES = ["compare", "--count", "2", "--steps", "2", "--gallery", "1", "--methods", "grad-cam", "fake-cam"]


def _records(folder: Path) -> dict[tuple[object, ...], Any]:
    """Values that do not depend on the clock."""
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()[1:]]
    return {
        (line["set"], line["first"], line["method"]): {**line["values"], "time": None}
        for line in lines
        if "method" in line
    }


def _colours(model: Path, images: Path, out: Path, *more: str) -> int:
    arguments = ["--methods", "grad-cam", "--steps", "2", "--gallery", "2", *more]
    return cli.main(["compare", "--model", str(model), "--images", str(images), "--out", str(out), *arguments])


def test_an_interrupted_run_goes_on_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = ["--sets", "2", "--out", str(tmp_path / "whole")], ["--sets", "2", "--out", str(tmp_path / "cut")]
    assert cli.main([*SCENES, *whole]) == 0
    measured: list[str] = []
    record = PerPicture.record

    def counted(self: PerPicture, case: Case) -> Any:
        if self.name == "drop":
            if len(measured) == 3:
                raise KeyboardInterrupt
            measured.append(f"{case.contender.name} {case.batch.pictures.names[0]}")
        return record(self, case)

    monkeypatch.setattr(PerPicture, "record", counted)
    assert cli.main([*SCENES, *cut]) == 130
    assert "goes on from here" in capsys.readouterr().err
    with (tmp_path / "cut" / "results.jsonl").open("a") as stream:
        stream.write('{"set": 1, "first": 0, "meth')  # killed on the way
    measured.clear()
    assert cli.main([*SCENES, *cut]) == 0
    assert len(measured) == 1
    assert measured[0].startswith("fake-cam")
    assert _records(tmp_path / "whole") == _records(tmp_path / "cut")
    assert "2 disjoint sets of 2 pictures" in (tmp_path / "cut" / "index.html").read_text()


def test_measures_methods_and_sets_may_be_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ["compare", "--count", "2", "--gallery", "0", "--out", str(tmp_path)]
    assert cli.main([*few, "--sets", "1", "--methods", "centre", "--measures", "energy"]) == 0
    assert cli.main([*few, "--sets", "2", "--methods", "centre", "fake-cam", "--measures", "energy", "complexity"]) == 0
    lines = (tmp_path / "results.jsonl").read_text().splitlines()[1:]
    assert [sorted(json.loads(line)["values"]) for line in lines[:2]] == [["energy"], ["complexity"]]
    assert len(lines) == 5
    table = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| *`fake-cam`* | 100.0 ± 0.0 |") for line in table) == 1


def test_other_settings_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path), "--sets", "1", "--measures", "complexity"]
    assert cli.main([*SCENES, *out]) == 0
    assert cli.main([*SCENES, *out, "--mask", "mean"]) == 2
    said = capsys.readouterr().err
    assert "other settings" in said
    assert "'mask': 'mean'" in said
    assert "--out" in said


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--methods", "grad-camm"], "grad-cam"),
        (["--methods", "opti-cam:step=3"], "has no option 'step'; it has steps"),
        (["--methods", "opti-cam:steps=many"], "steps must be of type int"),
        (["--methods", "opti-cam:steps=0"], "steps must lie in 1"),
        (["--methods", "opti-cam:objective=none"], "objective must be one of"),
        (["--methods", "fake-cam:steps=3"], "is a control and has no options"),
        (["--measures", "dropp"], "'dropp' is not one of drop"),
        (["--images", "{tmp}"], "there is no picture in it"),
        (["--images", "{tmp}/none"], "is no folder"),
        (["--model", "{tmp}/none"], "no such file"),
        (["--model", "{colours}"], "knows no scenes"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(
    arguments: list[str], fault: str, tmp_path: Path, colours: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [text.format(tmp=tmp_path, colours=colours) for text in arguments]
    assert cli.main(["compare", *given, "--out", str(tmp_path / "out")]) == 2
    assert fault in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_only_classifiers_are_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_model(tmp_path / "shapes")
    recipe = (folder / "recipe.yaml").read_text().replace("task: classify", "task: caption")
    (folder / "recipe.yaml").write_text(f"{recipe}\nvocabulary: labels.txt\n")
    assert cli.main(["compare", "--model", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "only classifiers" in capsys.readouterr().err


def test_files_that_cannot_be_used_are_told_and_the_rest_is_measured(
    colours: Path, class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert _colours(colours, class_folders, out) == 1
    said = capsys.readouterr()
    for name in ("red/cut.png", "mauve/c.png", "blue"):
        assert f"left out: {name}: " in said.err
        assert f"Left out: {name}: " in json.loads((out / "report.json").read_text())["sections"][0]["text"]
    record = _records(out)[0, 0, "grad-cam"]
    assert len(record["drop"]) == 4
    assert "pointing" not in record  # nobody says where the colours are
    # A map of this model is where the colour is, so nothing is lost behind it.
    assert record["drop"] == pytest.approx([0.0] * 4, abs=0.05)


def test_a_file_that_was_mended_is_measured_by_the_next_run(colours: Path, class_folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert _colours(colours, class_folders, out) == 1
    save(class_folders / "red" / "cut.png", patch("red", 9, 9))
    assert _colours(colours, class_folders, out) == 1
    assert len(_records(out)[0, 0, "grad-cam"]["drop"]) == 5
    lines = (out / "results.jsonl").read_text()
    assert _colours(colours, class_folders, out) == 1
    assert (out / "results.jsonl").read_text() == lines


def test_pictures_without_labels_explain_the_prediction(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    for index in range(BATCH + 2):
        save(images / f"{index:02}.png", patch("blue", index, 3))
    (images / "99.jpg").write_bytes(b"not a picture")
    assert _colours(colours, images, out, "--classes", "label") == 2
    assert "have no labels" in capsys.readouterr().err
    assert _colours(colours, images, out, "--measures", "pointing") == 2
    assert "pointing needs what is not known" in capsys.readouterr().err
    assert _colours(colours, images, out, "--measures", "all", "--samples", "1") == 1
    assert "99.jpg: image is not a JPEG" in capsys.readouterr().err
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()[1:]]
    assert [line["classes"] for line in lines if "classes" in line] == [[2] * BATCH, [2] * 2]


def test_a_method_that_does_not_fit_the_model_is_left_out(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "images" / "a.png", patch("red", 3, 3))
    arguments = ["--methods", "attention-rollout", "centre", "--measures", "complexity", "drop"]
    assert _colours(colours, tmp_path / "images", tmp_path / "out", *arguments) == 1
    said = capsys.readouterr()
    assert "left out: attention-rollout: attention-rollout does not work on this model" in said.err
    assert "| `attention-rollout` | \u2013 |" in said.out
    assert "| *`centre`* | " in said.out


def test_a_report_shows_maps_over_pictures(colours: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save(tmp_path / "images" / "red" / f"{name}.png", patch("red", 3, 3))
    assert _colours(colours, tmp_path / "images", tmp_path / "out", "--measures", "complexity") == 0
    (gallery,) = json.loads((tmp_path / "out" / "report.json").read_text())["sections"][0]["galleries"]
    assert gallery["titles"] == ["picture", "grad-cam"]
    assert gallery["rows"] == ["red/a.png: red", "red/b.png: red"]


def test_values_are_those_of_the_maps() -> None:
    classifier = load_classifier(MODEL)
    batch = Batch(classifier, pictures(["two-class"], 0, range(2), classifier.size), Choices(Protocol(steps=2)))
    absent = (int(batch.pictures.truth.max()) + 1) % 10
    assert not batch.region_of(torch.tensor([absent, absent])).any()
    case = Case(batch, Contender.parse("hires-cam"))
    normalised = (batch.pictures.images - torch.tensor(classifier.mean)[:, None, None]) / classifier.std[0]
    raw = explain(classifier.network, normalised, batch.classes.tolist(), "hires-cam", list(classifier.layers)).maps
    maps = normalize(upsample(raw, classifier.size))
    torch.testing.assert_close(case.maps, maps)
    before = classifier.network(normalised).softmax(1)[[0, 1], batch.classes]
    masked = (batch.pictures.images * maps[:, None] - 0.5) / 0.25
    after = classifier.network(masked).softmax(1)[[0, 1], batch.classes]
    torch.testing.assert_close(case.batch.before, before)
    torch.testing.assert_close(case.after, after)
    expected = energy_inside(maps, batch.pictures.masks_of(batch.classes))
    assert math.isfinite(float(expected[0]))
    torch.testing.assert_close(energy_inside(case.maps, batch.region), expected)


@pytest.mark.slow
@pytest.mark.parametrize("source", [{"torchvision": {"name": "resnet18"}}, {"timm": {"name": "vit_tiny_patch16_224"}}])
def test_any_recipe_of_a_classifier(tmp_path: Path, source: dict[str, Any]) -> None:
    """Networks of libraries, with the pictures they take."""
    images = tmp_path / "images"
    Image.new("RGB", (90, 70), "red").save(images.with_suffix(".png"))
    images.mkdir()
    images.with_suffix(".png").rename(images / "a.png")
    model = tmp_path / "model"
    model.mkdir()
    text = json.dumps(
        {
            "name": "library",
            "version": "1",
            "task": "classify",
            "description": "Of a library.",
            "source": source,
            "weights": {"random": True},
            "preprocessing": {
                "size": [224, 224],
                "fit": "crop",
                "crop_share": 0.9,
                "mean": [0.5] * 3,
                "std": [0.2] * 3,
            },
        }
    )
    (model / "recipe.yaml").write_text(text)
    assert _colours(model, images, tmp_path / "out", "--measures", "drop", "complexity", "--gallery", "0") == 0


def test_options_reach_the_method() -> None:
    contender = Contender.parse("opti-cam:steps=3,objective=diff,learning_rate=0.5")
    assert (contender.method, contender.options) == (
        "opti-cam",
        {"steps": 3, "objective": "diff", "learning_rate": 0.5},
    )
    assert Contender.parse("gradcam").method == "grad-cam"


def test_controls() -> None:
    assert fake_cam(3, 4).sum() == 11
    assert fake_cam(3, 4)[0, 0] == 0
    middle = centre(5, 9)
    assert middle.argmax() == 2 * 9 + 4
    torch.testing.assert_close(middle, middle.flip(0, 1))
