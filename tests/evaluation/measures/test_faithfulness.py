"""The choices of the protocol: where the mask is laid, what is inserted and deleted, which class is scored."""

import math

import pytest
import torch
from torch import Tensor

from evaluation.measures.faithfulness import BASELINES, Protocol, class_score, faithfulness
from saliency.faithfulness import BLUR_SIGMA

MEAN, STD = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _logits(normalised: Tensor) -> Tensor:
    """Of a fixed linear model on the normalised input."""
    weights = torch.randn(4, 3 * 5 * 5, generator=torch.Generator().manual_seed(9))
    return normalised.flatten(1) @ weights.T / 10


def _probabilities(images: Tensor) -> Tensor:
    return _logits((images - MEAN[:, None, None]) / STD[:, None, None]).softmax(1)


@pytest.mark.parametrize("mask", ["black", "mean"])
def test_the_mask_is_laid_on_pixels_or_on_the_normalised_input(mask: str) -> None:
    images, maps, classes = _draw(3, 3, 5, 5), _draw(3, 5, 5, seed=1), torch.tensor([0, 3, 1])
    found = faithfulness(_probabilities, images, maps, classes, protocol=Protocol(mask=mask), mean=MEAN)
    before = _probabilities(images)
    if mask == "black":
        after = _probabilities(images * maps[:, None])
    else:
        after = _logits((images - MEAN[:, None, None]) / STD[:, None, None] * maps[:, None]).softmax(1)
    for row, label in enumerate(classes.tolist()):
        p, o = float(before[row, label]), float(after[row, label])
        assert float(found.drop[row]) == pytest.approx(max(0.0, p - o) / p, abs=1e-5)
        assert float(found.gain[row]) == pytest.approx(max(0.0, o - p) / (1 - p), abs=1e-5)
        assert float(found.increase[row]) == (o > p)


def test_curves_run_from_and_to_the_chosen_images() -> None:
    images, maps, classes = _draw(2, 3, 5, 5), _draw(2, 5, 5, seed=1), torch.tensor([1, 2])
    protocol = Protocol(insertion="mean", deletion="blur", steps=1)
    found = faithfulness(_probabilities, images, maps, classes, protocol=protocol, mean=MEAN)
    p = _probabilities(images)[[0, 1], [1, 2]]
    grey = _probabilities(MEAN[:, None, None].expand(1, 3, 5, 5))[0, [1, 2]]
    blurred = _probabilities(BASELINES["blur"](images, MEAN))[[0, 1], [1, 2]]
    torch.testing.assert_close(found.insertion, (grey + p) / 2)
    torch.testing.assert_close(found.deletion, (blurred + p) / 2)


def test_the_blur_is_a_gaussian_of_a_share_of_the_side() -> None:
    side = 64
    images = torch.zeros(1, 1, side, side)
    images[0, 0, 32, 32] = 1.0
    found = BASELINES["blur"](images, MEAN)[0, 0]
    sigma = BLUR_SIGMA * side
    assert float(found[32, 34] / found[32, 32]) == pytest.approx(math.exp(-0.5 * (2 / sigma) ** 2), rel=1e-4)
    assert float(found.sum()) == pytest.approx(1.0, abs=1e-5)


def test_the_class_is_the_label_or_the_prediction() -> None:
    labels, probabilities = torch.tensor([0, 1]), torch.tensor([[0.1, 0.9], [0.3, 0.7]])
    assert Protocol(classes="label").chosen(labels, probabilities).tolist() == [0, 1]
    assert Protocol(classes="predicted").chosen(labels, probabilities).tolist() == [1, 1]


def test_rows_are_scored_for_their_own_class() -> None:
    score = class_score(lambda images: images[:, 0, 0, :3], torch.tensor([2, 0]))
    images = torch.arange(12.0).view(3, 1, 1, 4)
    assert score(images, torch.tensor([0, 0, 1])).tolist() == [2.0, 6.0, 8.0]


@pytest.mark.parametrize(
    "choice",
    [{"classes": "top"}, {"mask": "white"}, {"insertion": ""}, {"deletion": "noise"}, {"steps": 0}],
    ids=lambda choice: next(iter(choice)),
)
def test_unknown_choices_are_named(choice: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(choice))):
        Protocol(**choice)  # type: ignore[arg-type]
