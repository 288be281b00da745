"""The command: what it measures, that it goes on where it stopped, and what it says of wrong arguments."""

import json
import math
from pathlib import Path

import pytest
import torch

from evaluation import compare as command
from evaluation.classifier import load_classifier
from evaluation.controls import centre, fake_cam
from evaluation.journal import Journal, JournalError
from evaluation.measures.faithfulness import Protocol
from evaluation.measures.pointing import energy_inside
from evaluation.methods import Contender
from evaluation.pictures.scenes import pictures
from evaluation.table import COLUMNS, markdown
from saliency import explain, normalize, upsample

SMALL = ["--images", "2", "--steps", "2", "--methods", "grad-cam", "fake-cam"]


def _records(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()[1:]]


def test_an_interrupted_run_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert command.main([*SMALL, "--seeds", "2", "--out", str(whole)]) == 0
    assert command.main([*SMALL, "--seeds", "1", "--out", str(cut)]) == 0
    with (cut / "results.jsonl").open("a") as stream:
        stream.write('{"set": 1, "first": 0, "meth')  # killed on the way
    measured: list[str] = []
    measure = command.measure

    def counted(*args: object) -> object:
        measured.append(args[1].name)  # type: ignore[attr-defined]
        return measure(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(command, "measure", counted)
    assert command.main([*SMALL, "--seeds", "2", "--out", str(cut)]) == 0
    assert measured == ["grad-cam", "fake-cam"]
    for first, second in zip(_records(whole), _records(cut), strict=True):
        assert {**first, "seconds": 0} == {**second, "seconds": 0}
    table = (cut / "table.md").read_text()
    assert "| `grad-cam` |" in table
    assert "2 disjoint sets of 2 pictures" in table


def test_other_settings_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path), "--seeds", "1"]
    assert command.main([*SMALL, *out]) == 0
    assert command.main([*SMALL, *out, "--mask", "mean"]) == 1
    said = capsys.readouterr().err
    assert "other settings" in said
    assert "'mask': 'mean'" in said
    assert "--out" in said


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("grad-camm", "grad-cam"),
        ("opti-cam:step=3", "has no option 'step'; it has steps"),
        ("opti-cam:steps=many", "steps must be of type int"),
        ("opti-cam:steps=0", "steps must lie in 1"),
        ("opti-cam:objective=none", "objective must be one of"),
        ("fake-cam:steps=3", "is a control and has no options"),
    ],
)
def test_wrong_methods_are_named(method: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--methods", method, "--out", str(tmp_path)]) == 1
    assert fault in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_values_are_those_of_the_maps() -> None:
    classifier = load_classifier(command.MODEL)
    batch = pictures(["two-class"], 0, range(2), classifier.size)
    classes = torch.tensor([int(batch.labels[0]), (int(batch.truth.max()) + 1) % 10])
    assert not batch.masks_of(classes)[1].any()
    contender = Contender.parse("hires-cam")
    found = command.measure(classifier, contender, batch, classes, Protocol(steps=2))
    normalised = (batch.images - torch.tensor(classifier.mean)[:, None, None]) / classifier.std[0]
    raw = explain(classifier.network, normalised, classes.tolist(), "hires-cam", list(classifier.layers)).maps
    maps = normalize(upsample(raw, classifier.size))
    before = classifier.network(normalised).softmax(1)[[0, 1], classes]
    masked = (batch.images * maps[:, None] - 0.5) / 0.25
    after = classifier.network(masked).softmax(1)[[0, 1], classes]
    torch.testing.assert_close(found["drop"], (before - after).relu() / before)
    torch.testing.assert_close(found["gain"], (after - before).relu() / (1 - before))
    expected = energy_inside(maps, batch.masks_of(classes))
    assert float(found["energy"][0]) == pytest.approx(float(expected[0]))
    assert math.isnan(found["energy"][1])
    assert math.isnan(found["pointing"][1])
    assert found["classes"].tolist() == classes.tolist()


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


def test_a_table_has_means_over_sets_and_how_they_spread(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "results.jsonl", {})
    others = {column.name for column in COLUMNS} - {"drop", "pointing", "seconds"}
    # Pointing: classes count alike, and nothing is known of the last picture. Time: the median of all.
    rows = {"drop": [0.1, 0.2, 0.6], "pointing": [1.0, 0.0, None], "seconds": [0.9, 0.002, 0.002]}
    journal.add((0, 0, "grad-cam"), {**rows, "classes": [1, 2, 2], **{name: [0.5, 0.5, 0.5] for name in others}})
    rows = {"drop": [0.5], "pointing": [0.0], "seconds": [0.004]}
    journal.add((1, 0, "grad-cam"), {**rows, "classes": [1], **{name: [None] for name in others}})
    cells = markdown(Journal(tmp_path / "results.jsonl", {}).records, ["grad-cam"]).splitlines()[2].split(" | ")
    assert cells[0] == "| `grad-cam`"
    assert cells[1] == f"{100 * (0.3 + 0.5) / 2:.1f} ± {100 * 0.2 / math.sqrt(2):.1f}"
    assert cells[6] == f"{100 * 0.5 / 2:.1f} ± {100 * 0.5 / math.sqrt(2):.1f}"
    assert cells[7] == "nan ± nan"
    assert cells[8] == f"{(2 + 4) / 2:.1f} ± {2 / math.sqrt(2):.1f} |"


def test_files_that_are_no_journal_are_left_alone(tmp_path: Path) -> None:
    for text in ("hello\n", "[1]\n"):
        path = tmp_path / "results.jsonl"
        path.write_text(text)
        with pytest.raises(JournalError, match="not a journal"):
            Journal(path, {})
        assert path.read_text() == text
