"""The audit: its figures, its section, its command."""

import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from evaluation.audits.walls import audit as walls
from evaluation.audits.walls.__main__ import main
from evaluation.audits.walls.audit import BLIND, SIGHTED, audit_scenes
from evaluation.audits.walls.pictures import stacked_scenes
from evaluation.audits.walls.section import section
from evaluation.classifier import load_classifier
from evaluation.measures.faithfulness import class_score
from evaluation.methods import Contender
from evaluation.report.section import Section
from saliency.faithfulness import behind, drop, gain, mask_of

METHODS = ["grad-cam", "hires-cam", "layer-cam", "input-gradient", "uniform"]


@pytest.fixture(scope="module")
def found() -> Section:
    return section(audit_scenes(METHODS, 16))


def test_pixelwise_methods_show_nothing_and_grad_cam_does(found: Section) -> None:
    rows = found.tables[0].rows
    for method in ("hires-cam", "layer-cam", "input-gradient"):
        norm = rows[method][0]
        assert norm is not None
        assert (norm.mean, norm.spread) == (0, 0), method
    norm, uniform = rows["grad-cam"][0], rows["uniform"][0]
    assert norm is not None
    assert norm.mean > 0.1
    assert uniform is not None
    assert uniform.mean == pytest.approx(math.sqrt(29 / 112))


def test_the_unseen_share_of_a_response_agrees(found: Section) -> None:
    rows = {name: [figure.mean for figure in row if figure] for name, row in found.tables[0].rows.items()}
    assert rows["hires-cam"][1] < 1
    assert rows["input-gradient"][1] == 0
    assert rows["grad-cam"][1] > 5
    assert rows["uniform"][1] == pytest.approx(100 * 29 / 112, abs=1)
    assert all(without < 1 for _, _, without in rows.values())


def test_the_section_says_what_came_of_it(found: Section) -> None:
    assert "Exactly nothing there, in any picture: hires-cam, layer-cam, input-gradient." in found.text
    assert "Something there: grad-cam;" in found.text
    profile = dict(found.plots[0].lines["hires-cam"])
    assert len(profile) == 112
    assert not any(value for row, value in profile.items() if row > 83)
    assert found.galleries[0].titles == ("picture", "grad-cam", "hires-cam", "layer-cam")
    at_first = found.tables[1].rows["grad-cam"][0]
    assert at_first is not None
    assert at_first.mean == pytest.approx(1, abs=0.1)


def test_fake_cam_is_best_by_drop_and_increase_and_gains_nothing() -> None:
    classifier = load_classifier(SIGHTED)
    pictures = stacked_scenes(32, 112, 83)
    score = class_score(classifier.probabilities, pictures.above)
    before = classifier.probabilities(pictures.images).gather(1, pictures.above[:, None])[:, 0]
    found = {}
    for name in ("grad-cam", "fake-cam"):
        masks = mask_of(Contender.parse(name).maps(classifier, pictures.images, pictures.above), classifier.size)
        after = behind(score, pictures.images, masks, torch.zeros(1, 3, 1, 1))
        rows = (drop(before, after), gain(before, after), (after > before).float())
        found[name] = [float(100 * row.mean()) for row in rows]
    (real_drop, real_gain, real_increase), (fake_drop, fake_gain, fake_increase) = found["grad-cam"], found["fake-cam"]
    assert fake_drop < 1 < real_drop
    assert fake_increase > real_increase
    assert fake_gain < 1 < real_gain


def test_a_classifier_without_a_wall_is_told() -> None:
    with pytest.raises(TypeError, match="which has no wall"):
        walls.wall_of(load_classifier(SIGHTED))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walls, "UNTRAINED_METHODS", ())
    photos = tmp_path / "photos"
    own = stacked_scenes(16, 112, 83)
    classifier = load_classifier(BLIND)
    for index, (image, label) in enumerate(zip(own.images, own.above.tolist(), strict=True)):
        folder = photos / classifier.labels[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image.permute(1, 2, 0) * 255).byte().numpy()).save(folder / f"{index}.png")
    arguments = ["--methods", "grad-cam", "--count", "4", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--model", str(BLIND), "--images", str(photos)]) == 0
    assert "| `grad-cam` |" in capsys.readouterr().out
    assert (tmp_path / "out" / "index.html").exists()
    assert main([*arguments, "--model", str(SIGHTED), "--images", str(photos)]) == 1
    assert "has no wall" in capsys.readouterr().err
    assert main(["--methods", "grad-camm", "--out", str(tmp_path)]) == 1
    assert "grad-camm" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--model", str(BLIND)])
