"""Where the explanations of a folder's images go: an NPZ file for each image, or Parquet tables; and pictures."""

import json
from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from camserve import report
from camserve.explanation import Explanation
from camserve.rendering import DEFAULT_OPACITY
from camserve.results import ExplainResult

FORMS = ("npz", "parquet")
_ROWS = 2048
"""Rows of one Parquet file; those of an interrupted run that were not written yet are made again."""


class FolderOutput(ABC):
    """A folder of explanations.

    Attributes:
        folder: it.
    """

    def __init__(
        self, folder: Path, *, overlays: bool = True, colormap: str = "", opacity: float = DEFAULT_OPACITY
    ) -> None:
        """Takes the folder, and whether and how to draw overlays into it."""
        self.folder = folder
        self._overlays = overlays
        self._colormap, self._opacity = colormap, opacity

    @abstractmethod
    def known(self) -> set[str]:
        """The images whose explanations are there, by their paths."""

    @abstractmethod
    def close(self) -> None:
        """Writes what is not written yet."""

    @abstractmethod
    def _write(self, name: str, result: ExplainResult) -> None: ...

    def write(self, name: str, result: ExplainResult) -> None:
        """Writes the explanations of an image, by its path; its overlays first, so that what is known is whole."""
        if self._overlays:
            labels = [report.file_name(explanation.target.label) for explanation in result.explanations]
            for place, (label, explanation) in enumerate(zip(labels, result.explanations, strict=True)):
                ending = "" if len(labels) == 1 else f".{place}-{label}"
                self._draw(self.folder / "overlays" / f"{name}{ending}.png", explanation)
        self._write(name, result)

    def _draw(self, path: Path, explanation: Explanation) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        draw = explanation.words_sheet if explanation.tokens else explanation.overlay
        draw(path, colormap=self._colormap, opacity=self._opacity)


class NpzOutput(FolderOutput):
    """A file ``maps/PATH.npz`` for each image; ``numpy.load`` reads it, without pickles.

    Its arrays, for K targets: ``maps`` float32 ``[K, h, w]``, ``boxes`` float32 ``[K, 4]`` (left, top, right, bottom of
    what the map covers, in pixels of the image), ``image_size`` (height, width), ``targets``, ``scores`` and
    ``warnings`` ``[K]``, ``prediction``, ``probability``, ``model``, ``version``, ``method`` and ``layers``.
    """

    def known(self) -> set[str]:
        """The images whose explanations are there, by their paths."""
        files = (self.folder / "maps").rglob("*.npz")
        return {file.relative_to(self.folder / "maps").as_posix().removesuffix(".npz") for file in files}

    def close(self) -> None:
        """Nothing is left to write."""

    def _write(self, name: str, result: ExplainResult) -> None:
        explanations = result.explanations
        path = self.folder / "maps" / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez_compressed(
                file,
                maps=np.stack([each.heatmap.values for each in explanations]),
                boxes=np.array([each.heatmap.box for each in explanations], np.float32),
                image_size=np.array(result.image_size),
                targets=np.array([each.target.label for each in explanations]),
                scores=np.array([each.score for each in explanations], np.float32),
                warnings=np.array([",".join(w.code for w in each.warnings) for each in explanations]),
                prediction=np.array(result.predictions[0].label if result.predictions else ""),
                probability=np.array(result.predictions[0].probability if result.predictions else np.nan, np.float32),
                model=np.array(result.model),
                version=np.array(result.version),
                method=np.array(result.explanation.method),
                layers=np.array(result.explanation.layers),
            )
        part.replace(path)  # at once, so that an interrupted run leaves no half of one


class ParquetOutput(FolderOutput):
    """Tables ``maps/part-NNNNN.parquet``: a row for each target of each image, as `explanation_row` says."""

    def __init__(self, folder: Path, **drawing: Any) -> None:
        """As `FolderOutput`.

        Raises:
            ModuleNotFoundError: pyarrow is not installed.
        """
        if find_spec("pyarrow") is None:
            raise ModuleNotFoundError("Parquet needs pyarrow: pip install 'camserve[parquet]'")
        super().__init__(folder, **drawing)
        self._rows: list[dict[str, Any]] = []

    def known(self) -> set[str]:
        """The images whose explanations are there, by their paths."""
        import pyarrow.parquet as pq  # noqa: PLC0415 - an optional part

        return {name for file in self._parts() for name in pq.read_table(file, columns=["image"])["image"].to_pylist()}

    def close(self) -> None:
        """Writes the rows that wait."""
        import pyarrow as pa  # noqa: PLC0415 - an optional part
        import pyarrow.parquet as pq  # noqa: PLC0415

        if not self._rows:
            return
        last = max((int(file.stem.removeprefix("part-")) for file in self._parts()), default=-1)
        path = self.folder / "maps" / f"part-{last + 1:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        pq.write_table(pa.Table.from_pylist(self._rows), part)
        part.replace(path)
        self._rows.clear()

    def _write(self, name: str, result: ExplainResult) -> None:
        self._rows += [explanation_row(name, result, explanation) for explanation in result.explanations]
        if len(self._rows) >= _ROWS:
            self.close()

    def _parts(self) -> list[Path]:
        return sorted((self.folder / "maps").glob("part-*.parquet"))


def folder_output(form: str, folder: Path, **drawing: Any) -> FolderOutput:
    """The output of a form of `FORMS`.

    Args:
        form: which.
        folder: where it goes.
        **drawing: ``overlays``, ``colormap`` and ``opacity``, as `FolderOutput` takes them.

    Raises:
        ModuleNotFoundError: what the form needs is not installed.
    """
    return ParquetOutput(folder, **drawing) if form == "parquet" else NpzOutput(folder, **drawing)


def explanation_row(name: str, result: ExplainResult, explanation: Explanation) -> dict[str, Any]:
    """What a table says of one target of an image: ``map`` is ``height`` rows of ``width`` values, one after the other.

    Args:
        name: of the image.
        result: of the image.
        explanation: of the target.
    """
    heatmap = explanation.heatmap
    prediction = result.predictions[0] if result.predictions else None
    figures = explanation.faithfulness
    return {
        "image": name,
        "image_height": result.image_size[0],
        "image_width": result.image_size[1],
        "model": result.model,
        "version": result.version,
        "prediction": prediction.label if prediction else None,
        "probability": prediction.probability if prediction else None,
        "target": explanation.target.label,
        "score": explanation.score,
        "method": explanation.method,
        "layers": list(explanation.layers),
        "height": heatmap.values.shape[0],
        "width": heatmap.values.shape[1],
        "map": heatmap.values.ravel(),  # row after row
        "box": [float(side) for side in heatmap.box],  # left, top, right, bottom, in pixels of the image
        "warnings": [warning.code for warning in explanation.warnings],
        "faithfulness": json.dumps(vars(figures)) if figures else None,
    }
