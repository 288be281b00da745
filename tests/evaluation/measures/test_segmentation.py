"""Seeds and mIoU against loops over pixels."""

import pytest
import torch

from evaluation.measures.segmentation import BACKGROUND, confusion, mean_iou, seeds


def test_each_pixel_goes_to_its_strongest_class_or_the_background() -> None:
    maps = torch.tensor([[[0.9, 0.1], [0.4, 0.3]], [[0.2, 0.2], [0.6, 0.3]]])
    assert seeds(maps, [4, 2], 0.3).tolist() == [[4, BACKGROUND], [2, 4]]
    assert (seeds(maps, [4, 2], 1.0) == BACKGROUND).all()


def test_mean_iou_is_that_of_sets_of_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    found, truth = (torch.randint(-1, 3, (2, 6, 6), generator=generator) for _ in range(2))
    counts = confusion(found[0], truth[0], 5) + confusion(found[1], truth[1], 5)  # classes 3 and 4 do not occur
    expected = []
    for label in range(-1, 3):
        a, b = found == label, truth == label
        expected.append(float((a & b).sum() / (a | b).sum()))
    assert mean_iou(counts) == pytest.approx(sum(expected) / 4)


def test_confusion_is_by_true_and_found_label() -> None:
    counts = confusion(torch.tensor([0, 0, BACKGROUND]), torch.tensor([0, 1, 1]), 2)
    assert counts.tolist() == [[0, 0, 0], [0, 1, 0], [1, 1, 0]]


def test_perfect_seeds() -> None:
    truth = torch.tensor([[0, BACKGROUND], [BACKGROUND, 2]])
    assert mean_iou(confusion(truth, truth, 3)) == 1.0
