"""Folders of each layout: what is known of pictures, and what is said of those that cannot be used."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.measures.segmentation import BACKGROUND
from evaluation.pictures.folder import Folder, open_folder
from evaluation.pictures.picture import IGNORED, UNLABELLED
from evaluation.pictures.source import PictureError, SourceError, Truth
from model_store.sections import Preprocessing
from tests.evaluation.conftest import COLOURS, SIDE, patch, save, voc_annotation, write_json

LABELS = list(COLOURS)
HOW = Preprocessing(size=(SIDE, SIDE), mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))


def _reasons(source: Folder) -> dict[str, str]:
    reasons = {}
    for index in range(len(source.names)):
        try:
            source.read(0, index)
        except PictureError as error:
            reasons[error.name] = error.reason
    return reasons


def test_class_folders(class_folders: Path) -> None:
    source = open_folder(class_folders, LABELS, HOW)
    assert source.truths == {Truth.LABELS}
    picture = source.read(0, source.names.index("Green/b.png"))
    assert picture.label == LABELS.index("green")
    assert not picture.boxes
    assert (picture.truth == IGNORED).all()
    expected = torch.from_numpy(patch("green", 20, 4)[::2, ::2]).permute(2, 0, 1) / 255
    inner = picture.image[:, 6:10, 22:26]
    torch.testing.assert_close(inner, expected[:, 6:10, 22:26])
    reasons = _reasons(source)
    assert reasons.keys() == {"red/cut.png", "mauve/c.png", "blue"}
    assert "cut off" in reasons["red/cut.png"]
    assert "not a label of the model" in reasons["mauve/c.png"]
    assert "no picture of this class" in reasons["blue"]


def test_as_many_folders_as_classes_are_the_classes_in_order(tmp_path: Path) -> None:
    for name in ("n01", "n02", "n03"):
        save(tmp_path / name / "x.png", patch("red", 1, 1))
    source = open_folder(tmp_path, LABELS, HOW)
    assert [source.read(0, index).label for index in range(3)] == [0, 1, 2]


def test_pictures_alone_have_no_labels(tmp_path: Path) -> None:
    save(tmp_path / "x.jpg", patch("red", 1, 1))
    (tmp_path / "notes.txt").write_text("not a picture")
    source = open_folder(tmp_path, LABELS, HOW)
    assert (source.names, source.truths) == (["x.jpg"], frozenset())
    assert source.read(0, 0).label == UNLABELLED


@pytest.mark.parametrize("what", ["missing", "nothing", "empty VOC", "few", "split"])
def test_folders_that_are_no_source(tmp_path: Path, what: str) -> None:
    if what == "missing":
        with pytest.raises(SourceError, match="is no folder"):
            open_folder(tmp_path / "x", LABELS, HOW)
        return
    if what == "empty VOC":
        (tmp_path / "JPEGImages").mkdir()
    if what in ("few", "split"):
        save(tmp_path / "x.png", patch("red", 1, 1))
    fault = {"few": "too few for 2 sets", "split": "leave out --split"}.get(what, "there is no picture in it")
    with pytest.raises(SourceError, match=fault):
        open_folder(tmp_path, LABELS, HOW, sets=2 if what == "few" else 1, split="val" if what == "split" else "")


def test_sets_are_disjoint_and_the_count_is_spread(tmp_path: Path) -> None:
    for index in range(10):
        save(tmp_path / f"{index}.png", patch("red", index, 1))
    source = open_folder(tmp_path, LABELS, HOW, sets=3)
    assert source.counts() == [4, 3, 3]
    names = [source.read(number, index).name for number, count in enumerate(source.counts()) for index in range(count)]
    assert sorted(names) == [f"{index}.png" for index in range(10)]
    some = open_folder(tmp_path, LABELS, HOW, sets=2, count=2)
    assert list(some.names) == ["0.png", "2.png", "5.png", "7.png"]


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    folder = tmp_path / "voc"
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "ImageSets" / "Main" / "val.txt").write_text("both -1\ngone 1\n")
    (folder / "labels.txt").write_text("green\nred\nmauve\n")
    for name in ("both", "box", "mask", "bare", "mauve", "torn", "skewed"):
        save(folder / "JPEGImages" / f"{name}.jpg", patch("red", 4, 6))
    annotations = folder / "Annotations"
    annotations.mkdir()
    red = (9, 13, 24, 28)  # counted from 1, the last pixel inside: 4..12, 6..14 at half the size
    (annotations / "both.xml").write_text(voc_annotation({"red": red, "green": (41, 41, 44, 44)}))
    (annotations / "box.xml").write_text(voc_annotation({"red": red, "mauve": (1, 1, 64, 64)}))
    (annotations / "mauve.xml").write_text(voc_annotation({"mauve": red}))
    (annotations / "torn.xml").write_text("<annotation><object>")
    (annotations / "skewed.xml").write_text(voc_annotation({"red": red}))
    numbers = np.zeros((2 * SIDE, 2 * SIDE), np.uint8)
    numbers[12:28, 8:24] = 2
    numbers[40:44, 40:44] = 1
    numbers[50:60, 0:10] = 3
    numbers[0:2] = 255
    for name in ("both", "mask"):
        image = Image.fromarray(numbers).convert("P")
        (folder / "SegmentationClass").mkdir(exist_ok=True)
        image.putdata(numbers.ravel().tolist())
        image.save(folder / "SegmentationClass" / f"{name}.png")
    Image.fromarray(numbers[:50]).save(folder / "SegmentationClass" / "skewed.png")
    return folder


def test_voc(voc: Path) -> None:
    source = open_folder(voc, LABELS, HOW)
    assert source.truths == set(Truth)
    both = source.read(0, source.names.index("both"))
    assert both.label == LABELS.index("red")
    assert {index: own.tolist() for index, own in both.boxes.items()} == {0: [[4, 6, 12, 14]], 1: [[20, 20, 22, 22]]}
    expected = torch.full((SIDE, SIDE), BACKGROUND)
    expected[6:14, 4:12] = 0
    expected[20:22, 20:22] = 1
    expected[25:30, 0:5] = IGNORED
    expected[0] = IGNORED
    assert torch.equal(both.truth, expected)
    box = source.read(0, source.names.index("box"))
    assert box.boxes.keys() == {0}
    assert (box.truth == IGNORED).all()
    mask = source.read(0, source.names.index("mask"))
    assert {index: own.tolist() for index, own in mask.boxes.items()} == {0: [[4, 6, 12, 14]], 1: [[20, 20, 22, 22]]}
    reasons = _reasons(source)
    assert reasons.keys() == {"bare", "mauve", "torn", "skewed"}
    assert "no label" in reasons["bare"]
    assert "(mauve)" in reasons["mauve"]
    assert "torn.xml cannot be read" in reasons["torn"]
    assert "64 x 50 pixels, itself 64 x 64" in reasons["skewed"]


def test_a_list_of_voc(voc: Path) -> None:
    source = open_folder(voc, LABELS, HOW, split="Main/val")
    assert source.names == ["both", "gone"]
    assert "JPEGImages" in _reasons(source)["gone"]
    with pytest.raises(SourceError, match=r"train\.txt cannot be read"):
        open_folder(voc, LABELS, HOW, split="Main/train")


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    folder = tmp_path / "coco"
    for name in ("a", "b"):
        save(folder / "val" / f"{name}.png", patch("red", 4, 6))
    save(folder / "odd.png", patch("red", 4, 6))
    crowd = {"size": [64, 64], "counts": [0, 64, 4032]}
    data = {
        "images": [
            {"id": index, "file_name": f"{name}.png", "height": 64, "width": 64}
            for index, name in enumerate(["a", "b", "gone", "odd"])
        ],
        "categories": [{"id": 7, "name": "Red"}, {"id": 9, "name": "mauve"}],
        "annotations": [
            {
                "image_id": 0,
                "category_id": 7,
                "bbox": [8, 12, 16, 16],
                "area": 256,
                "segmentation": [[8, 12, 24, 12, 24, 28, 8, 28]],
            },
            {"image_id": 0, "category_id": 9, "bbox": [0, 0, 8, 8], "segmentation": [[0, 0, 8, 0, 8, 8, 0, 8]]},
            {"image_id": 0, "category_id": 7, "bbox": [0, 0, 1, 64], "iscrowd": 1, "segmentation": crowd},
            {"image_id": 1, "category_id": 9, "bbox": [0, 0, 8, 8], "segmentation": [[0, 0, 8, 0, 8, 8, 0, 8]]},
            {"image_id": 3, "category_id": 7, "bbox": [0, 0, 8, 8], "segmentation": {"size": [1, 1], "counts": [1]}},
        ],
    }
    write_json(folder / "annotations" / "instances_val.json", data)
    write_json(folder / "annotations" / "captions_val.json", {})
    return folder


def test_coco(coco: Path) -> None:
    source = open_folder(coco, LABELS, HOW)
    picture = source.read(0, 0)
    assert picture.label == 0
    assert {index: own.tolist() for index, own in picture.boxes.items()} == {0: [[4, 6, 12, 14]]}
    expected = torch.full((SIDE, SIDE), BACKGROUND)
    expected[6:14, 4:12] = 0
    expected[:4, :4] = IGNORED
    assert torch.equal(picture.truth, expected)  # of each two columns the second is taken, and the first is the crowd's
    reasons = _reasons(source)
    assert reasons.keys() == {"b.png", "gone.png", "odd.png"}
    assert "no label" in reasons["b.png"]
    assert "no such picture" in reasons["gone.png"]
    assert "not as COCO has them" in reasons["odd.png"]


def test_annotations_of_coco_that_are_none(coco: Path) -> None:
    with pytest.raises(SourceError, match="not instances as COCO has them"):
        open_folder(coco, LABELS, HOW, split="captions_val")
    write_json(coco / "annotations" / "instances_train.json", {})
    with pytest.raises(SourceError, match="--split: captions_val, instances_train, instances_val"):
        open_folder(coco, LABELS, HOW)


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_what_is_known_goes_where_the_pixels_go(tmp_path: Path, fit: str) -> None:
    """A wide picture, of which the middle is cut out, or that is made small: the mask still lies on the red."""
    wide = np.zeros((64, 128, 3), np.uint8)
    wide[16:48, 48:80] = COLOURS["red"]
    save(tmp_path / "JPEGImages" / "x.png", wide)
    numbers = np.where(wide[..., 0] > 0, 1, 0).astype(np.uint8)
    (tmp_path / "SegmentationClass").mkdir()
    Image.fromarray(numbers).save(tmp_path / "SegmentationClass" / "x.png")
    (tmp_path / "labels.txt").write_text("red\n")
    how = Preprocessing.model_validate({"size": (32, 32), "fit": fit, "mean": (0.0,) * 3, "std": (1.0,) * 3})
    picture = open_folder(tmp_path, LABELS, how).read(0, 0)
    inside = picture.truth == 0
    assert torch.equal(inside, picture.image[0] > 0.5)
    assert int(inside.sum()) == (16 * 16 if fit == "crop" else 8 * 8)
