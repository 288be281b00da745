"""A folder of photographs as pictures to evaluate on, whichever of the usual layouts it has."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from evaluation.pictures.classes import ClassFolders, Labels, Unlabelled, picture_files
from evaluation.pictures.coco import Coco, annotation_files
from evaluation.pictures.fitting import Known, fitted_picture
from evaluation.pictures.picture import Picture
from evaluation.pictures.source import SourceError, Truth
from evaluation.pictures.voc import Voc
from model_store.sections import Preprocessing


class Layout(Protocol):
    """What a folder says of its pictures."""

    @property
    def folder(self) -> Path:
        """The folder."""

    @property
    def kind(self) -> str:
        """How it is laid out, in a few words."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of its pictures."""

    @property
    def truths(self) -> frozenset[Truth]:
        """What is known of them, or of some of them."""

    def file(self, name: str) -> Path:
        """Where a picture lies; raises :class:`PictureError` if nowhere."""

    def known(self, name: str) -> Known:
        """What is known of it; raises :class:`PictureError` if that cannot be read, or too little is."""


@dataclass(frozen=True, eq=False)
class Folder:
    """The pictures of a folder, dealt out to sets in turns.

    Attributes:
        layout: of the folder.
        names: of the pictures that are used.
        sets: how many.
        how: what the model does to pictures.
    """

    layout: Layout
    names: Sequence[str]
    sets: int
    how: Preprocessing

    @property
    def title(self) -> str:
        """What they are."""
        return f"the pictures of {self.layout.folder.resolve().name} ({self.layout.kind})"

    @property
    def settings(self) -> Mapping[str, Any]:
        """Which they are."""
        names = hashlib.sha256("\n".join(self.names).encode()).hexdigest()
        fit = self.how.model_dump(mode="json")
        return {"folder": str(self.layout.folder.resolve()), "pictures": names, "sets": self.sets, "fit": fit}

    @property
    def truths(self) -> frozenset[Truth]:
        """As the layout says."""
        return self.layout.truths

    def counts(self) -> list[int]:
        """Of sets that differ by one at most."""
        return [len(self.names[number :: self.sets]) for number in range(self.sets)]

    def read(self, number: int, index: int) -> Picture:
        """Reads a picture; see :class:`evaluation.pictures.source.Source`."""
        name = self.names[number :: self.sets][index]
        return fitted_picture(name, self.layout.file(name), self.layout.known(name), self.how)


def open_folder(
    folder: Path, labels: Sequence[str], how: Preprocessing, *, split: str = "", count: int | None = None, sets: int = 1
) -> Folder:
    """The pictures of a folder of one of these layouts, told by what is in it.

    * ``JPEGImages`` with ``Annotations``, ``SegmentationClass`` or both: as PASCAL VOC;
    * a JSON file, here or in ``annotations``: as COCO;
    * folders: one per class, as ImageNet;
    * pictures: nothing is known of them.

    Args:
        folder: to open.
        labels: of the model's classes, by which those of the folder are recognised.
        how: what the model does to pictures.
        split: a part of it: VOC's list under ``ImageSets``, COCO's annotation file.
        count: of pictures of each set at most, spread over the folder; None: all.
        sets: how many.

    Raises:
        SourceError: it is no folder, or has no pictures, or not enough for that many sets.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder")
    layout = _layout(folder, Labels(labels), split)
    wanted = len(layout.names) if count is None else min(len(layout.names), count * sets)
    if not layout.names:
        raise SourceError(f"{folder}: there is no picture in it; add some, or name another folder")
    if wanted < sets:
        raise SourceError(f"{folder}: {len(layout.names)} pictures are too few for {sets} sets; choose fewer --sets")
    names = [layout.names[place * len(layout.names) // wanted] for place in range(wanted)]
    return Folder(layout, names, sets, how)


def _layout(folder: Path, labels: Labels, split: str) -> Layout:
    if (folder / "JPEGImages").is_dir():
        return Voc.of(folder, labels, split)
    if annotation_files(folder):
        return Coco.of(folder, labels, split)
    if split:
        raise SourceError(f"{folder}: only folders as of VOC and COCO have splits; leave out --split")
    if any(path.is_dir() for path in folder.iterdir()):
        return ClassFolders.of(folder, labels)
    return Unlabelled(folder, tuple(file.name for file in picture_files(folder)))
