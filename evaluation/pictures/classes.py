"""Folders of pictures that say nothing but their class, by the folder they lie in, or nothing at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evaluation.pictures.fitting import Known
from evaluation.pictures.picture import UNLABELLED
from evaluation.pictures.source import PictureError, Truth

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"})
"""Of files that are taken for pictures."""


class Labels:
    """The classes of a model, by their names.

    Attributes:
        count: how many there are.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.count = len(labels)
        self._index_of = {label.casefold(): index for index, label in enumerate(labels)}

    def known(self, names: Sequence[str]) -> dict[str, int]:
        """The indices of those names that are the model's."""
        return {name: self._index_of[name.casefold()] for name in names if name.casefold() in self._index_of}


def picture_files(folder: Path) -> list[Path]:
    """The pictures in a folder itself, in order of their names."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())


@dataclass(frozen=True, eq=False)
class ClassFolders:
    """A folder per class, as of torchvision's ``ImageFolder``.

    The folders are named by labels of the model. Where none is and there are as many as the model has classes, they are
    its classes in order, as ImageNet's are.
    """

    folder: Path
    names: tuple[str, ...]
    kind = "a folder per class"
    truths = frozenset({Truth.LABELS})
    _label_of: Mapping[str, int]

    @classmethod
    def of(cls, folder: Path, labels: Labels) -> "ClassFolders":
        """The classes and pictures of a folder."""
        classes = sorted(path for path in folder.iterdir() if path.is_dir())
        known = labels.known([path.name for path in classes])
        if not known and len(classes) == labels.count:
            known = {path.name: index for index, path in enumerate(classes)}
        names = [str(file.relative_to(folder)) for path in classes for file in picture_files(path) or [path]]
        return cls(folder, tuple(names), known)

    def file(self, name: str) -> Path:
        """Where a picture lies.

        Raises:
            PictureError: it is the folder of a class without any.
        """
        if Path(name).parent == Path():
            raise PictureError(name, "there is no picture of this class; add some, or remove the folder")
        return self.folder / name

    def known(self, name: str) -> Known:
        """Its class.

        Raises:
            PictureError: the model does not know it.
        """
        folder = Path(name).parts[0]
        if folder not in self._label_of:
            raise PictureError(name, f"{folder!r} is not a label of the model; name the folder as the model does")
        return Known(label=self._label_of[folder])


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Pictures of which nothing is known."""

    folder: Path
    names: tuple[str, ...]
    kind = "without labels"
    truths: frozenset[Truth] = frozenset()

    def file(self, name: str) -> Path:
        """Where a picture lies."""
        return self.folder / name

    def known(self, name: str) -> Known:
        """Nothing."""
        return Known(label=UNLABELLED)
