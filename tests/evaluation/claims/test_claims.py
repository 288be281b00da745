"""Each claim on a handful of scenes: that it measures what it says, and what must hold whatever the sample."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from evaluation.claims import conceptor_cam, excitation, opti_cam
from evaluation.claims.compared import Sample
from evaluation.claims.trained import MODEL
from evaluation.classifier import load_classifier
from evaluation.report.section import Figure, Section, Table

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(load_classifier(MODEL), count=2, sets=2, folder=tmp_path)


def _means(table: Table) -> Mapping[str, Sequence[float]]:
    return {name: [figure.mean for figure in row if isinstance(figure, Figure)] for name, row in table.rows.items()}


def _table(section: Section, name: str) -> Table:
    return next(table for table in section.tables if table.name == name)


@pytest.mark.slow
def test_opti_cam(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opti_cam, "RIVALS", ("grad-cam", "opti-cam:steps=8", "fake-cam"))
    monkeypatch.setattr(opti_cam, "VARIANTS", ("opti-cam:steps=2", "opti-cam:steps=2,objective=diff"))
    monkeypatch.setattr(opti_cam, "SEARCHED", 2)
    section = opti_cam.opti_cam(sample)
    searches = _means(_table(section, "opti-cam-search"))
    ours, share = searches["this search"]
    assert share == 100.0
    assert ours >= searches["start: all channels alike"][0]
    assert ours >= searches["the authors'"][0] - 1e-5
    assert set(_table(section, "opti-cam").rows) == {"grad-cam", "opti-cam:steps=8", "fake-cam"}
    assert not any(sample.folder.glob("*.part"))


@pytest.mark.slow
def test_conceptor_cam(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conceptor_cam, "BASES", ["grad-cam", "layer-cam"])
    monkeypatch.setattr(conceptor_cam, "NEGATIVES", ("none",))
    monkeypatch.setattr(conceptor_cam, "APERTURES", (0.4,))
    section = conceptor_cam.conceptor_cam(sample)
    assert list(section.tables[0].rows) == [
        *("grad-cam", "conceptor-cam:base=grad-cam", "layer-cam", "conceptor-cam:base=layer-cam")
    ]
    assert len(_table(section, "conceptor-cam-options").rows) == 1 + 2 + 1


@pytest.mark.slow
def test_mass_is_kept_and_contrasts_are_opposites(sample: Sample) -> None:
    section = excitation.excitation(sample)
    for mass, together, total in _means(_table(section, "excitation-mass")).values():
        assert mass == pytest.approx(1.0, abs=1e-5)
        assert together == pytest.approx(0.0, abs=1e-7)
        assert total == pytest.approx(0.0, abs=1e-4)
    found = _means(_table(section, "excitation-pointing"))
    assert all(0 <= value <= 100 for row in found.values() for value in row)
    assert "contrastive-excitation-backprop, stage2" in found


def test_what_does_not_work_is_told(sample: Sample) -> None:
    with pytest.raises(ValueError, match="attention-rollout"):
        sample.table("none", "Nothing.", ["attention-rollout"], ["drop"])
