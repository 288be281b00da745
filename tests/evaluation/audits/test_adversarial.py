"""Attacks against closed forms, and what the audit says of networks that they turn and that they cannot turn."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from evaluation.audits.adversarial import adversarial
from evaluation.audits.attack import away_from, fgsm, pgd, towards
from evaluation.audits.attacked import Threat
from evaluation.methods import Contender
from evaluation.pictures.scenes import pictures
from model_store.scenes.vocabulary import SHAPES
from tests.evaluation.audits.tiny import SIDE, classifier


def _images(number: int = 3, seed: int = 0) -> Tensor:
    drawn = torch.rand(number, 3, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 0.2 + 0.6 * drawn  # a radius of 0.1 away from the borders


def _weights() -> Tensor:
    return torch.randn(4, 60, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _linear(images: Tensor) -> Tensor:
    return images.flatten(1) @ _weights().T


def test_fgsm_on_a_linear_network_steps_along_the_signs_of_its_weights() -> None:
    images, classes = _images(), torch.tensor([2, 0, 3])
    found = fgsm(_linear, images, towards(classes), radius=0.1)
    # The cross-entropy of class t falls along W_t less the mean of W under the softmax.
    probabilities = _linear(images).softmax(1)
    uphill = (_weights()[classes] - probabilities @ _weights()).sign().view_as(images)
    torch.testing.assert_close(found, images + 0.1 * uphill)


def test_two_classes_have_one_direction_and_pgd_ends_in_the_same_corner() -> None:
    direction = (_weights()[1] - _weights()[0]).sign().view(3, 4, 5)

    def two(images: Tensor) -> Tensor:
        return images.flatten(1) @ _weights()[:2].T

    images, first = _images(), torch.tensor([[True, False]]).expand(3, 2)
    expected = images + 0.1 * direction
    torch.testing.assert_close(fgsm(two, images, away_from(first), radius=0.1), expected)
    found = pgd(two, images, towards(torch.ones(3, dtype=torch.long)), radius=0.1, step=0.05, steps=4, seed=0)
    torch.testing.assert_close(found, expected)


def test_the_untargeted_loss_is_the_log_probability_of_all_that_is_there() -> None:
    logits = _linear(_images())
    present = torch.tensor([[True, False, True, False], [False, True, False, False], [True, True, True, False]])
    expected = (logits.softmax(1) * present).sum(1).log()
    torch.testing.assert_close(away_from(present)(logits), expected)


def _curved(images: Tensor) -> Tensor:
    return (_linear(images) * 0.3).sin() * 5


def test_pgd_stays_in_the_ball_and_among_pictures() -> None:
    images = torch.rand(4, 3, 4, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    images[0], images[1] = 0.0, 1.0
    loss = towards(torch.tensor([0, 1, 2, 3]))
    found = pgd(_curved, images, loss, radius=0.1, step=0.07, steps=5, seed=3)
    assert float((found - images).abs().max()) <= 0.1 + 1e-12
    assert float(found.min()) >= 0.0
    assert float(found.max()) <= 1.0
    assert (loss(_curved(found)) < loss(_curved(images))).all()


def test_a_batch_gives_what_singles_give_and_the_seed_repeats() -> None:
    images, classes = _images(), torch.tensor([1, 1, 2])

    def attacked(rows: slice, seed: int) -> Tensor:
        return pgd(_curved, images[rows], towards(classes[rows]), radius=0.1, step=0.03, steps=3, seed=seed)

    together = attacked(slice(None), 5)
    torch.testing.assert_close(together, torch.cat([attacked(slice(row, row + 1), 5) for row in range(3)]))
    assert torch.equal(together, attacked(slice(None), 5))
    assert not torch.equal(together, attacked(slice(None), 6))


class _Constant(nn.Module):
    """Sure of one class whatever it sees, with gradients of zero."""

    def __init__(self, favourite: Tensor) -> None:
        super().__init__()
        self.register_buffer("favourite", favourite)

    def forward(self, images: Tensor) -> Tensor:
        return self.favourite + 0 * images.mean((1, 2, 3), keepdim=False)[:, None]


def _stubborn(label: int) -> nn.Module:
    return _Constant(4.0 * torch.nn.functional.one_hot(torch.tensor(label), len(SHAPES)))


def test_only_right_predictions_are_attacked_and_the_goal_is_absent() -> None:
    batch = pictures(["two-class"], 0, range(4), (SIDE, SIDE))
    subject = replace(classifier(), network=_stubborn(int(batch.labels[0])).eval())
    for found in Threat(radius=8, steps=2, targeted=True, seed=0).carried_out(subject, batch):
        right = (batch.truth == batch.labels[0]).flatten(1).any(1)
        assert len(found.clean) == int(right.sum())
        assert found.present[:, batch.labels[0]].all()
        assert not found.flipped.any()
        for truth, present in zip(found.truth, found.present, strict=True):
            assert set(truth.unique().tolist()) - {-1} == set(present.nonzero()[:, 0].tolist())


def test_a_network_that_cannot_be_turned_has_no_figures() -> None:
    label = int(pictures(["one-class"], 0, [0], (SIDE, SIDE)).labels[0])
    subject = replace(classifier(), network=_stubborn(label).eval())
    section = adversarial(subject, [Contender.parse("centre")], images=1, sets=1, steps=2)
    main, *_, outcome = section.tables
    assert all(figure is not None and math.isnan(figure.mean) for figure in main.rows["centre"])
    assert outcome.rows["PGD"][0].mean == 0.0
    assert "PGD succeeds for 0 % of the pictures." in section.text
    assert not section.galleries


def test_a_network_that_is_never_right_is_named() -> None:
    batch = pictures(["one-class"], 0, [0], (SIDE, SIDE))
    subject = replace(classifier(), network=_stubborn((int(batch.labels[0]) + 1) % len(SHAPES)).eval())
    with pytest.raises(ValueError, match="none of 1 pictures right; give it more"):
        list(Threat(8, 2, True, 0).carried_out(subject, batch))


class _Brightness(nn.Module):
    """Sure of a class above a level of brightness, and of any other below."""

    def __init__(self, label: int, level: float) -> None:
        super().__init__()
        self.direction = nn.functional.one_hot(torch.tensor(label), len(SHAPES)).float()
        self.level = level

    def forward(self, images: Tensor) -> Tensor:
        return 200 * (images.mean((1, 2, 3)) - self.level)[:, None] * self.direction


def test_controls_see_no_difference_and_the_main_table_is_that_of_pgd() -> None:
    batch = pictures(["one-class"], 0, [0], (SIDE, SIDE))
    brightness = float(((batch.images - 0.5) / 0.25).mean())
    network = _Brightness(int(batch.labels[0]), brightness - 0.02).eval()  # a little darker, and it is turned
    subject = replace(classifier(), network=network, layers=())
    section = adversarial(subject, [Contender.parse("centre"), Contender.parse("input-gradient")], images=1, sets=1)
    assert [table.name for table in section.tables] == ["adversarial-pgd", "adversarial-fgsm", "adversarial-attacks"]
    before, after, energy, attacked, rank, structure = (figure.mean for figure in section.tables[0].rows["centre"])
    assert (before, energy) == (after, attacked)
    assert (rank, structure) == pytest.approx((1.0, 1.0))
    assert section.tables[2].rows["PGD"][0].mean == 100.0
    (gallery,) = section.galleries
    assert [name.split(", ")[1].split(":")[0] for name in gallery.rows] == ["clean", "attacked"]
