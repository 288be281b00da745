"""Methods measured through the running service, beside the same in this process."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from camserve.errors import NotFoundError, UnavailableError
from evaluation import cli
from evaluation.arguments import MODEL
from evaluation.classifier import load_classifier
from evaluation.pictures.scenes import pictures
from evaluation.service import ServedClassifier
from gateway.launcher.server import Server, run_server

COMPARE = [
    *("compare", "--count", "2", "--sets", "1", "--steps", "3", "--gallery", "1", "--samples", "2"),
    *("--methods", "grad-cam", "opti-cam:steps=2", "--measures"),
    *("drop", "gain", "insertion", "deletion", "adcc"),
    *("pointing", "extended", "energy", "pxap", "seeds", "sensitivity"),
]


def _figures(folder: Path) -> dict[tuple[str, str], float]:
    (section,) = json.loads((folder / "report.json").read_text())["sections"]
    return {
        (method, column["title"]): figure["mean"]
        for table in section["tables"]
        for method, figures in table["rows"].items()
        for column, figure in zip(table["columns"], figures, strict=True)
        if figure and column["title"] != "ms per map"
    }


def test_a_service_measures_as_this_process_does(service: Server, tmp_path: Path) -> None:
    served = ["--server", service.address, "--parallel", "3", "--out", str(tmp_path / "served")]
    assert cli.main([*COMPARE, *served]) == 0
    assert cli.main([*COMPARE, "--out", str(tmp_path / "here")]) == 0
    found, expected = _figures(tmp_path / "served"), _figures(tmp_path / "here")
    assert found.keys() == expected.keys()
    assert len(found) == 2 * 11
    # Disturbed pictures are rounded to 255ths on their way.
    far = {key: (value, expected[key]) for key, value in found.items() if abs(value - expected[key]) > 2.0}
    assert not far


def test_probabilities_and_maps_are_those_of_this_process(service: Server) -> None:
    classifier = load_classifier(MODEL)
    batch = pictures(["two-class"], 0, range(5), classifier.size)
    with ServedClassifier(service.address, "scenes-classifier", parallel=2, timeout=60) as served:
        assert (served.labels, served.size, served.layers) == (classifier.labels, classifier.size, classifier.layers)
        assert served.mean is None
        torch.testing.assert_close(
            served.probabilities(batch.images), classifier.probabilities(batch.images), atol=1e-4, rtol=0
        )
        arguments: tuple[Any, ...] = (batch.images, batch.labels, "grad-cam", {})
        found, expected = served.maps(*arguments), classifier.maps(*arguments)
        torch.testing.assert_close(found, expected, atol=1e-3 * float(expected.max()), rtol=0)


def test_what_a_service_does_not_know_is_said(
    service: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = ["compare", "--server", service.address, "--out", str(tmp_path)]
    assert cli.main([*served, "--mask", "mean"]) == 2
    assert "do not tell the mean colour" in capsys.readouterr().err
    with pytest.raises(NotFoundError):
        ServedClassifier(service.address, "none", parallel=1, timeout=5)
    with pytest.raises(UnavailableError):
        ServedClassifier("localhost:1", "none", parallel=1, timeout=2)


def test_a_method_that_the_server_refuses_is_left_out(
    service: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--count", "2", "--sets", "1", "--gallery", "0", "--measures", "complexity"]
    served = ["--server", service.address, "--out", str(tmp_path), "--methods", "attention-rollout", "grad-cam"]
    assert cli.main(["compare", *arguments, *served]) == 1
    assert "left out: attention-rollout: " in capsys.readouterr().err


@pytest.mark.slow
def test_a_full_server_is_asked_again_and_a_cut_is_made_up_for() -> None:
    """A model that cuts out 224 of 232 pixels, behind a queue of two."""
    images = torch.rand(24, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    folder = MODEL.parent / "resnet50"
    with (
        run_server("--models", "resnet50", env={"CAMSERVE_QUEUE_ITEMS": "2"}) as server,
        ServedClassifier(server.address, "resnet50", parallel=12, timeout=120) as served,
    ):
        assert served.preprocessing.crop_share == pytest.approx(0.9655, abs=1e-3)
        found = served.probabilities(images)
    expected = load_classifier(folder).probabilities(images)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
