"""COCO's layout: pictures, and one JSON file with the boxes and masks of all of them."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.measures.segmentation import BACKGROUND
from evaluation.pictures.classes import Labels
from evaluation.pictures.fitting import Known
from evaluation.pictures.picture import IGNORED
from evaluation.pictures.rle import mask_of
from evaluation.pictures.source import PictureError, SourceError, Truth
from handlers.preprocessing import Region

_PREFIX = "instances_"


@dataclass(frozen=True, eq=False)
class Coco:
    """A folder as of COCO.

    Smaller objects lie on larger ones. Of crowds, and of classes that the model does not know, the pixels are ignored
    and the boxes left out; pictures that have nothing else are not used.
    """

    folder: Path
    names: tuple[str, ...]
    kind = "as of COCO"
    truths = frozenset(Truth)
    _places: tuple[str, ...]
    _images: Mapping[str, Mapping[str, Any]]
    _objects: Mapping[int, Sequence[Mapping[str, Any]]]
    _classes: Mapping[int, int]
    """The model's class of each category."""

    @classmethod
    def of(cls, folder: Path, labels: Labels, split: str) -> "Coco":
        """The pictures of a folder; ``split`` names its annotation file, such as ``instances_val2017``.

        Raises:
            SourceError: there are several files and none is named, or the file is not as COCO's are.
        """
        file = _annotations(folder, split)
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            images = {str(image["file_name"]): image for image in data["images"]}
            objects = defaultdict(list)
            for item in data["annotations"]:
                objects[item["image_id"]].append(item)
            names = {category["id"]: str(category["name"]) for category in data["categories"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SourceError(f"{file}: not instances as COCO has them: {error!r}") from error
        known = labels.known(list(names.values()))
        classes = {category: known[name] for category, name in names.items() if name in known}
        places = ("", "images", file.stem.removeprefix(_PREFIX))
        return cls(folder, tuple(sorted(images)), places, images, objects, classes)

    def file(self, name: str) -> Path:
        """Where a picture lies.

        Raises:
            PictureError: it is not there.
        """
        files = [self.folder / place / name for place in self._places]
        found = [file for file in files if file.is_file() and file.resolve().is_relative_to(self.folder.resolve())]
        if not found:
            raise PictureError(name, "there is no such picture in the folder; add it, or take it out of the JSON file")
        return found[0]

    def known(self, name: str) -> Known:
        """Its boxes and pixels.

        Raises:
            PictureError: an annotation is not as COCO has them, or none is of a class that the model knows.
        """
        image = self._images[name]
        try:
            shape = int(image["height"]), int(image["width"])
            objects = sorted(self._objects.get(image["id"], ()), key=_area, reverse=True)
            truth = np.full(shape, BACKGROUND)
            boxes: dict[int, list[Region]] = defaultdict(list)
            for item in objects:
                index = IGNORED if item.get("iscrowd") else self._classes.get(item["category_id"], IGNORED)
                mask = mask_of(item["segmentation"], *shape) if "segmentation" in item else _filled(item, *shape)
                # The pixels of an object without outline are somewhere in its box.
                truth[mask] = index if item.get("segmentation") else IGNORED
                if index != IGNORED:
                    left, top, width, height = map(float, item["bbox"])
                    boxes[index].append((left, top, left + width, top + height))
        except (KeyError, TypeError, ValueError) as error:
            raise PictureError(name, f"its annotations are not as COCO has them: {error!r}") from error
        if not boxes:
            raise PictureError(name, "no label: none of its objects is of one of the model's classes")
        return Known(boxes=boxes, truth=truth)


def _annotations(folder: Path, split: str) -> Path:
    files = annotation_files(folder)
    if split:
        files = [file for file in files if file.stem == split]
    elif len(files) > 1:
        files = [file for file in files if file.stem.startswith(_PREFIX)]
    if len(files) != 1:
        there = ", ".join(file.stem for file in annotation_files(folder))
        raise SourceError(f"{folder}: name one of its annotation files with --split: {there}")
    return files[0]


def annotation_files(folder: Path) -> list[Path]:
    """The JSON files of a folder, or of ``annotations`` in it."""
    return sorted([*folder.glob("annotations/*.json"), *folder.glob("*.json")])


def _area(item: Mapping[str, Any]) -> float:
    return float(item.get("area", item["bbox"][2] * item["bbox"][3]))


def _filled(item: Mapping[str, Any], height: int, width: int) -> Any:
    """The pixels of an object's box."""
    left, top, across, down = map(float, item["bbox"])
    mask = np.zeros((height, width), dtype=bool)
    mask[max(0, int(top)) : int(np.ceil(top + down)), max(0, int(left)) : int(np.ceil(left + across))] = True
    return mask
