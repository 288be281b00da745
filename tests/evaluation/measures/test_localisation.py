"""Localisation against the protocols carried out threshold by threshold."""

import numpy as np
import pytest
import torch
from torch import Tensor

from evaluation.measures.boxes import Boxes, component_boxes, overlaps
from evaluation.measures.localisation import (
    LEVELS,
    box_overlaps,
    localisation_errors,
    max_box_acc,
    max_box_acc_v2,
    pixel_histogram,
    pxap,
)
from saliency import normalize

TRUE: list[Boxes] = [np.array([[1, 1, 5, 4], [6, 5, 8, 8]]), np.array([[0, 0, 8, 8]]), np.array([[2, 3, 4, 6]])]


def _maps() -> Tensor:
    coarse = torch.rand(3, 1, 3, 3, generator=torch.Generator().manual_seed(1))
    return normalize(torch.nn.functional.interpolate(coarse, (8, 8), mode="bilinear")[:, 0])


def test_box_accuracies_are_those_of_the_best_threshold_of_the_set() -> None:
    maps = _maps()
    largest, best = np.zeros((3, 1000)), np.zeros((3, 1000))
    for row in range(3):
        image = (maps[row].numpy() * 255).astype(np.uint8)
        for k, threshold in enumerate(np.arange(0, 1, 0.001)):
            drawn = component_boxes(image > int(threshold * image.max()))
            largest[row, k] = overlaps(drawn[:1], TRUE[row]).max(initial=0)
            best[row, k] = overlaps(drawn, TRUE[row]).max(initial=0)
    found = box_overlaps(maps, TRUE)
    # In two batches, as over a set.
    counts = box_overlaps(maps[:1], TRUE[:1]).counts + box_overlaps(maps[1:], TRUE[1:]).counts
    expected = max((largest >= 0.5).mean(0))
    assert max_box_acc(counts) == pytest.approx(expected)
    v2 = np.mean([max((best >= overlap).mean(0)) for overlap in (0.3, 0.5, 0.7)])
    assert max_box_acc_v2(counts) == pytest.approx(v2)
    assert 0 < expected < 1
    levels = (np.arange(0, 1, 0.001) * 255).astype(int)
    np.testing.assert_allclose(found.largest[:, levels], largest)
    np.testing.assert_allclose(found.best[:, levels], best)


def test_a_map_of_the_box_itself_is_right_at_every_threshold_and_a_flat_one_at_none() -> None:
    exact = torch.zeros(2, 8, 8)
    exact[0, 1:4, 1:5] = 1.0
    found = box_overlaps(exact, TRUE[:2])
    assert found.largest.shape == (2, LEVELS)
    assert (found.largest[0] == 1).all()
    assert not found.largest[1].any()
    assert not found.best[1].any()


def test_localisation_errors_at_a_share_of_the_maximum() -> None:
    maps = torch.zeros(4, 8, 8)
    maps[0, 1:4, 1:5] = 1.0  # the object
    maps[0, 7, 0] = 0.9  # a speck, smaller
    maps[1, 1:4, 1:5] = 1.0
    maps[1, :, 5:] = 0.16  # joins the object, and is above the threshold
    maps[2, 1:4, 1:5] = 1.0
    maps[2, :, 5:] = 0.14
    true = [TRUE[0][:1]] * 4
    assert localisation_errors(maps, true).tolist() == [False, True, False, True]
    correct = torch.tensor([False, True, True, True])
    assert localisation_errors(maps, true, correct).tolist() == [True, True, False, True]


def test_pxap_is_the_average_precision_of_pooled_pixels() -> None:
    maps = (torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(2)) * 50).round() / 50
    masks = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(3)) < maps * 0.6
    values, truth = maps.flatten(), masks.flatten()
    area, recall = 0.0, 0.0
    for threshold in sorted(set(values.tolist()), reverse=True):
        over = values >= threshold
        reached = float((over & truth).sum() / truth.sum())
        area += float((over & truth).sum() / over.sum()) * (reached - recall)
        recall = reached
    # In two batches, as over a set.
    histogram = pixel_histogram(maps[:1], masks[:1]) + pixel_histogram(maps[1:], masks[1:])
    assert int(histogram.sum()) == maps.numel()
    assert pxap(histogram) == pytest.approx(area)


def test_pxap_of_perfect_and_flat_maps() -> None:
    masks = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(3)) < 0.3
    assert pxap(pixel_histogram(masks.float(), masks)) == pytest.approx(1.0)
    assert pxap(pixel_histogram(torch.zeros(2, 8, 8), masks)) == pytest.approx(float(masks.float().mean()))
    with pytest.raises(ValueError, match="no mask"):
        pxap(pixel_histogram(torch.zeros(2, 8, 8), torch.zeros_like(masks)))
