"""PASCAL VOC's layout: ``JPEGImages``, ``Annotations`` with boxes, ``SegmentationClass`` with masks, ``ImageSets``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from evaluation.measures.segmentation import BACKGROUND
from evaluation.pictures.classes import Labels, picture_files
from evaluation.pictures.fitting import Known, read_classes
from evaluation.pictures.picture import IGNORED
from evaluation.pictures.source import PictureError, SourceError, Truth
from handlers.preprocessing import Region
from model_store.recipe import read_lines

LABELS_FILE: Final = "labels.txt"
"""In the folder: the names of the masks' classes from number 1 on, a line each."""
CLASSES: Final = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""Those of PASCAL VOC, which go without such a file."""


@dataclass(frozen=True, eq=False)
class Voc:
    """A folder as of PASCAL VOC. Objects that are marked as difficult count as others do.

    Pictures have an annotation, a mask, or both. Classes that the model does not know are left out, and pictures that
    have no others are not used.
    """

    folder: Path
    names: tuple[str, ...]
    kind = "as of PASCAL VOC"
    truths: frozenset[Truth]
    _labels: Labels
    _files: Mapping[str, Path]
    _numbers: NDArray[np.int64]

    @classmethod
    def of(cls, folder: Path, labels: Labels, split: str) -> "Voc":
        """The pictures of a folder; those of a list under ``ImageSets``, such as ``Segmentation/val``, if it is named.

        Raises:
            SourceError: there is no such list.
        """
        files = {file.stem: file for file in picture_files(folder / "JPEGImages")}
        names = _listed(folder, split) if split else sorted(files)
        masks = (folder / "SegmentationClass").is_dir()
        truths = frozenset({Truth.LABELS, Truth.BOXES, *({Truth.MASKS} if masks else ())})
        return cls(folder, tuple(names), truths, labels, files, _numbers(folder, labels))

    def file(self, name: str) -> Path:
        """Where a picture lies.

        Raises:
            PictureError: there is none.
        """
        if name not in self._files:
            raise PictureError(name, "there is no such picture in JPEGImages; add it, or take it off the list")
        return self._files[name]

    def known(self, name: str) -> Known:
        """Its boxes and pixels.

        Raises:
            PictureError: there is neither, one cannot be read, or nothing in it is known to the model.
        """
        annotation = self.folder / "Annotations" / f"{name}.xml"
        mask = self.folder / "SegmentationClass" / f"{name}.png"
        if not annotation.exists() and not mask.exists():
            raise PictureError(name, f"no label: there is neither Annotations/{name}.xml nor a mask; add one")
        named = _boxes(name, annotation) if annotation.exists() else {}
        boxes = {index: named[own] for own, index in self._labels.known(list(named)).items()}
        truth = read_classes(name, mask, self._numbers) if mask.exists() else None
        if not boxes and (truth is None or truth.max() < 0):
            there = f" ({', '.join(sorted(named))})" if named else ""
            raise PictureError(name, f"no label: none of its classes{there} is one of the model's")
        return Known(boxes=boxes, truth=truth)


def _listed(folder: Path, split: str) -> Sequence[str]:
    file = folder / "ImageSets" / f"{split}.txt"
    try:
        lines = file.read_text().splitlines()
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror}; name a list such as Segmentation/val") from error
    return [line.split()[0] for line in lines if line.strip()]


def _numbers(folder: Path, labels: Labels) -> NDArray[np.int64]:
    """What the 256 numbers of masks are to the model; 255 is the edge of objects, of which VOC says nothing."""
    file = folder / LABELS_FILE
    names = read_lines(file) if file.exists() else CLASSES
    numbers = np.full(256, IGNORED)
    numbers[0] = BACKGROUND
    for number, name in enumerate(names[:254], 1):
        numbers[number] = labels.known([name]).get(name, IGNORED)
    return numbers


def _boxes(name: str, file: Path) -> dict[str, list[Region]]:
    """By name of the class; VOC counts pixels from 1 and has the last one inside."""
    boxes: dict[str, list[Region]] = {}
    try:
        for item in ElementTree.parse(file).getroot().iter("object"):  # noqa: S314  (expat bounds what entities become)
            edges = [float(item.findtext(f"bndbox/{edge}") or "") for edge in ("xmin", "ymin", "xmax", "ymax")]
            left, top, right, bottom = edges
            boxes.setdefault((item.findtext("name") or "").strip(), []).append((left - 1, top - 1, right, bottom))
    except (ElementTree.ParseError, ValueError, OSError) as error:
        raise PictureError(name, f"its annotation {file.name} cannot be read: {error}") from error
    return boxes
