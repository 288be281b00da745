"""Sections on disk, with their pictures, to go on with another time."""

import base64
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from camserve.rendering import encode_png
from evaluation.report.section import Better, Column, Figure, Gallery, Plot, Section, Table


def save(section: Section, file: Path, key: str) -> None:
    """Writes a section down, whole or not at all.

    Args:
        section: to keep.
        file: where; its folder is made.
        key: what it depends on.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps({"key": key, "section": asdict(section)}, default=_plain))
    part.replace(file)


def load(file: Path, key: str) -> Section | None:
    """What was written there; None if nothing was, or it depends on something else."""
    if not file.exists():
        return None
    data = json.loads(file.read_text())
    if data["key"] != key:
        return None
    section: dict[str, Any] = data["section"]
    parts = {
        "tables": [_table(table) for table in section["tables"]],
        "plots": [Plot(**plot) for plot in section["plots"]],
        "galleries": [_gallery(gallery) for gallery in section["galleries"]],
    }
    return Section(**{**section, **parts})


def _plain(value: Any) -> Any:
    match value:
        case np.ndarray():
            return base64.b64encode(encode_png(value)).decode()
        case Better():
            return value.value
        case set() | frozenset():
            return sorted(value)
    raise TypeError(f"a section holds a {type(value).__name__}, which cannot be kept")


def _table(table: dict[str, Any]) -> Table:
    columns = [Column(**{**column, "better": Better(column["better"])}) for column in table["columns"]]
    rows = {
        name: [None if figure is None else Figure(**figure) for figure in figures]
        for name, figures in table["rows"].items()
    }
    return Table(**{**table, "columns": columns, "rows": rows})


def _gallery(gallery: dict[str, Any]) -> Gallery:
    rows = {name: [_picture(text) for text in pictures] for name, pictures in gallery["rows"].items()}
    return Gallery(**{**gallery, "rows": rows})


def _picture(text: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text)), formats=["PNG"]))
