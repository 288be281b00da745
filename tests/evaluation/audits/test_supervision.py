"""The segmentation network and its training, and what the audit makes of good and of useless seeds."""

import pytest
import torch

from evaluation.audits import supervision as audit
from evaluation.audits.segmenter import Seen, fit
from evaluation.measures.segmentation import BACKGROUND, confusion, mean_iou
from evaluation.methods import Contender
from evaluation.pictures.scenes import pictures
from tests.evaluation.audits.tiny import SIDE, classifier


def _seen(number: int) -> Seen:
    images = torch.rand(number, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return Seen.by(classifier(), images)


def test_features_are_those_of_the_explained_layer() -> None:
    subject, seen = classifier(), _seen(18)
    normalised = (seen.images - 0.5) / 0.25
    torch.testing.assert_close(seen.features, subject.network[:3](normalised))
    assert not seen.features.requires_grad
    assert not subject.network[2]._forward_hooks


def test_it_learns_what_colours_tell() -> None:
    """Bright pixels are class 3, dark ones background: as much as edges and features can tell at once."""
    seen = _seen(16)
    images = torch.zeros_like(seen.images)
    images[:, :, :, : SIDE // 2] = 1.0
    images[8:] = images[8:].flip(3)
    truth = torch.where(images[:, 0] > 0, 3, BACKGROUND)
    seen = Seen.by(classifier(), images)
    model = fit(seen, truth, 10, epochs=40, seed=0)
    found = model.segment(seen)
    assert found.shape == truth.shape
    assert mean_iou(confusion(found, truth, 10)) > 0.9


def test_the_seed_repeats_and_the_generator_is_left_alone() -> None:
    seen = _seen(4)
    truth = torch.full((4, SIDE, SIDE), BACKGROUND)
    state = torch.get_rng_state()
    first, second, other = (fit(seen, truth, 10, epochs=1, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first(seen), second(seen))
    assert not torch.equal(first(seen), other(seen))


def test_seeds_are_taken_at_the_threshold_of_the_best_overlap() -> None:
    subject = classifier()
    batch = pictures(audit.KINDS, 0, range(4), subject.size)
    found = audit.Seeds.of(Contender.parse("centre"), subject, batch)
    assert found.threshold == audit.THRESHOLDS[found.overlaps.index(max(found.overlaps))]
    assert mean_iou(confusion(found.labels, batch.truth, 10)) == pytest.approx(max(found.overlaps))
    for labels, truth in zip(found.labels, batch.truth, strict=True):
        assert set(labels.unique().tolist()) <= set(truth.unique().tolist())


def test_true_masks_are_the_bound_that_does_not_compete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "HELD_OUT", 4)
    monkeypatch.setattr(audit, "EPOCHS", 1)
    contenders = [Contender.parse("grad-cam"), Contender.parse("centre")]
    subject = classifier()
    before = {name: value.clone() for name, value in subject.network.state_dict().items()}
    section = audit.supervision(subject, contenders, images=4, runs=2)
    (table,) = section.tables
    assert list(table.rows) == ["true masks", "grad-cam", "centre"]
    assert set(table.apart) == {"true masks"}
    assert table.rows["true masks"][1:] == [None, None]
    assert all(row[0] is not None and row[0].spread is not None for row in table.rows.values())
    assert "The best teacher is grad-cam" in section.text
    assert section.galleries[0].titles == ["picture", "truth", "true masks", "grad-cam", "centre"]
    assert all(torch.equal(value, before[name]) for name, value in subject.network.state_dict().items())
