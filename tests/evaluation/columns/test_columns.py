"""Columns: a batch at a time gives what the whole set gives, and values are those of the measures they name."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from evaluation.choices import Choices
from evaluation.classifier import Classifier, load_classifier
from evaluation.columns.case import Batch, Case
from evaluation.columns.catalogue import ALL, DEFAULT, MEASURES, chosen
from evaluation.columns.found import SEED_THRESHOLDS
from evaluation.measures.adcc import adcc
from evaluation.measures.boxes import Boxes
from evaluation.measures.faithfulness import Protocol, faithfulness
from evaluation.measures.localisation import box_overlaps, max_box_acc, max_box_acc_v2, pixel_histogram, pxap
from evaluation.measures.pointing import extended_pointing
from evaluation.measures.road import road
from evaluation.measures.segmentation import BACKGROUND, confusion, mean_iou, seeds
from evaluation.methods import Contender
from evaluation.pictures.picture import IGNORED, Picture, Pictures
from evaluation.pictures.source import Truth
from saliency import explain
from saliency.faithfulness import mask_of

CHOICES = Choices(Protocol(steps=3), samples=2)


@pytest.fixture(scope="module")
def classifier(colours: Path) -> Classifier:
    return load_classifier(colours)


def _pictures(seed: int, count: int) -> list[Picture]:
    """Two squares of colours on noise, the first of which is the label."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for index in range(count):
        image = 0.3 * torch.rand(3, 32, 32, generator=generator)
        truth = torch.full((32, 32), BACKGROUND)
        boxes: dict[int, Boxes] = {}
        for own in ((seed + index) % 3, (seed + index + 1) % 3):
            top, left = (int(place) for place in torch.randint(0, 12, (2,), generator=generator))
            left += 12 * (own != (seed + index) % 3)
            image[own, top : top + 7, left : left + 9] += 0.6
            truth[top : top + 7, left : left + 9] = own
            boxes[own] = torch.tensor([[left, top, left + 9, top + 7]]).numpy()
        found.append(Picture(f"{seed}-{index}", image, (seed + index) % 3, truth, boxes))
    return found


def _case(classifier: Classifier, pictures: list[Picture], choices: Choices = CHOICES) -> Case:
    return Case(Batch(classifier, Pictures.of(pictures), choices), Contender.parse("grad-cam"))


def _figure(name: str, *cases: Case) -> float:
    """As it is after a way through the journal."""
    records: list[Any] = [json.loads(json.dumps(MEASURES[name].record(case))) for case in cases]
    return MEASURES[name].figure(records, torch.cat([case.batch.classes for case in cases]))


def _plain(classifier: Classifier, case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Images, classes and masks in one go, without what a case shares."""
    pictures = case.batch.pictures
    raw = explain(classifier.network, pictures.images, pictures.labels.tolist(), "grad-cam").maps
    return pictures.images, pictures.labels, mask_of(raw, (32, 32))


@pytest.mark.parametrize("name", [name for name in MEASURES if name != "time"])
def test_batches_give_what_the_set_gives(classifier: Classifier, name: str) -> None:
    pictures = _pictures(0, 7)
    whole = _figure(name, _case(classifier, pictures))
    assert math.isfinite(whole)
    assert _figure(name, *(_case(classifier, pictures[s : s + 3]) for s in (0, 3, 6))) == pytest.approx(whole, rel=1e-5)


def test_faithfulness_is_that_of_the_protocol(classifier: Classifier) -> None:
    case = _case(classifier, _pictures(1, 4))
    images, labels, maps = _plain(classifier, case)
    mean = torch.zeros(3)
    expected = faithfulness(classifier.probabilities, images, maps, labels, protocol=CHOICES.protocol, mean=mean)
    for name, values in vars(expected).items():
        assert _figure(name, case) == pytest.approx(100 * float(values.mean()), abs=1e-4)


def test_road_and_adcc(classifier: Classifier) -> None:
    case = _case(classifier, _pictures(1, 4))
    images, labels, maps = _plain(classifier, case)

    def score(disturbed: Tensor, rows: Tensor) -> Tensor:
        return classifier.probabilities(disturbed).gather(1, labels[rows, None])[:, 0]

    assert _figure("road", case) == pytest.approx(100 * float(road(score, images, maps).combined.mean()), abs=1e-4)
    behind = images * maps[:, None]
    again = mask_of(explain(classifier.network, behind, labels.tolist(), "grad-cam").maps, (32, 32))
    everything = torch.arange(4)
    before, after = score(images, everything), score(behind, everything)
    expected = adcc(maps, again, (before - after).clamp_min(0) / before).mean()
    assert _figure("adcc", case) == pytest.approx(100 * float(expected), abs=1e-4)


def test_boxes_and_pixels(classifier: Classifier) -> None:
    case = _case(classifier, _pictures(2, 5))
    _, labels, maps = _plain(classifier, case)
    counts = box_overlaps(maps, case.batch.pictures.boxes_of(labels)).counts
    assert _figure("max-box-acc", case) == pytest.approx(100 * max_box_acc(counts))
    assert _figure("max-box-acc-v2", case) == pytest.approx(100 * max_box_acc_v2(counts))
    histogram = pixel_histogram(maps, case.batch.pictures.masks_of(labels))
    assert _figure("pxap", case) == pytest.approx(100 * pxap(histogram))


def test_seeds_are_of_all_classes_that_are_there(classifier: Classifier) -> None:
    case = _case(classifier, _pictures(2, 5))
    pictures = case.batch.pictures
    totals = [torch.zeros(4, 4, dtype=torch.int64) for _ in SEED_THRESHOLDS]
    for image, truth, boxes in zip(pictures.images, pictures.truth, pictures.boxes, strict=True):
        raw = explain(classifier.network, image[None], [list(boxes)], "grad-cam").maps[0]
        maps = mask_of(raw, (32, 32))
        for step, threshold in enumerate(SEED_THRESHOLDS):
            totals[step] += confusion(seeds(maps, list(boxes), threshold), truth, 3)
    assert _figure("seeds", case) == pytest.approx(100 * max(mean_iou(total) for total in totals))
    assert _figure("seeds", case) > 90


def test_extended_pointing_takes_the_best_threshold(classifier: Classifier) -> None:
    """Peaks of the two colours that are there are higher than those of the third, so all maps can be right."""
    pictures = _pictures(3, 6)
    case = _case(classifier, pictures)
    assert _figure("extended", case) == 100.0
    asked = [one for row in [MEASURES["extended"].record(case)] for one in row]
    peaks, hits, present = (torch.tensor(column) for column in zip(*asked, strict=True))
    assert len(asked) == 18
    assert int(present.sum()) == 12
    lowest = extended_pointing(peaks, hits, present, 0.0).double().mean()
    assert float(lowest) == pytest.approx(12 / 18)
    flat = Case(case.batch, Contender.parse("fake-cam"))
    assert _figure("extended", flat) < 50


def test_unknown_pixels_and_absent_classes_are_left_out(classifier: Classifier) -> None:
    known, bare = _pictures(4, 2)
    bare = Picture(bare.name, bare.image, bare.label, torch.full((32, 32), IGNORED), {})
    both, alone = _case(classifier, [known, bare]), _case(classifier, [known])
    for name in ("pointing", "energy", "localisation", "max-box-acc", "max-box-acc-v2", "pxap", "seeds"):
        assert _figure(name, both) == pytest.approx(_figure(name, alone)), name
        assert math.isnan(_figure(name, _case(classifier, [bare]))), name


def test_boxes_stand_in_for_pixels(classifier: Classifier) -> None:
    picture = _pictures(5, 1)[0]
    boxed = Picture(picture.name, picture.image, picture.label, torch.full((32, 32), IGNORED), picture.boxes)
    assert _figure("energy", _case(classifier, [boxed])) == pytest.approx(
        _figure("energy", _case(classifier, [picture]))
    )
    (left, top, right, bottom), *_ = picture.boxes[picture.label].tolist()
    holed = picture.truth.clone()
    holed[top + 1 : bottom - 1, left + 1 : right - 1] = BACKGROUND
    frame = Picture(picture.name, picture.image, picture.label, holed, picture.boxes)
    filled = _figure("energy", _case(classifier, [frame], Choices(region="box")))
    assert filled == pytest.approx(_figure("energy", _case(classifier, [picture])))
    assert _figure("energy", _case(classifier, [frame])) < 0.7 * filled


def test_a_class_that_is_not_there_is_a_localisation_error(classifier: Classifier) -> None:
    picture = _pictures(0, 1)[0]
    choices = Choices(Protocol(classes="predicted", steps=3), threshold=0.6)
    predicted = int(_case(classifier, [picture], choices).batch.classes)
    assert _figure("localisation", _case(classifier, [picture], choices)) == 0.0
    others = {index: own for index, own in picture.boxes.items() if index != predicted}
    absent = Picture(picture.name, picture.image, next(iter(others)), picture.truth, others)
    assert _figure("localisation", _case(classifier, [absent], choices)) == 100.0


def test_which_measures() -> None:
    assert [measure.name for measure in chosen([], frozenset(Truth))] == list(DEFAULT)
    assert [measure.name for measure in chosen([ALL], frozenset(Truth))] == list(MEASURES)
    blind = {measure.name for measure in chosen([ALL], frozenset())}
    assert {"drop", "road", "sensitivity", "time"} <= blind
    assert not blind & {"pointing", "pxap", "seeds", "extended"}
    assert [measure.name for measure in chosen(["pxap", "drop"], frozenset(Truth))] == ["drop", "pxap"]
    with pytest.raises(ValueError, match="pxap needs what is not known of these pictures: masks"):
        chosen(["pxap"], {Truth.BOXES})
    with pytest.raises(ValueError, match="'dropp' is not one of drop"):
        chosen(["dropp"], frozenset(Truth))
