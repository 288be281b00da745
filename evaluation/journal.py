"""Results as they come: a file of JSON lines that an interrupted run goes on with."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Key = tuple[int, int, str]
"""Number of the set, first picture of the batch, and method."""


class JournalError(ValueError):
    """The file holds results that do not go with these."""


class Journal:
    """The results of a run, one line each after a first line with the run's settings.

    A line is written whole or, if the run is killed on it, is not counted.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Opens a journal, or starts one.

        Args:
            path: of the file.
            settings: what results depend on; plain JSON values.

        Raises:
            JournalError: the file has results of other settings, or is no journal.
        """
        self._path = path
        lines = self._lines()
        if lines:
            self._check(lines[0].get("settings"), json.loads(json.dumps(settings)))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"settings": settings}) + "\n")
        self.records: dict[Key, Mapping[str, Any]] = {
            (record["set"], record["first"], record["method"]): record for record in lines[1:]
        }

    def add(self, key: Key, values: Mapping[str, Any]) -> None:
        """Writes down one result; plain JSON values."""
        number, first, method = key
        record = {"set": number, "first": first, "method": method, **values}
        with self._path.open("a") as stream:
            stream.write(json.dumps(record) + "\n")
        self.records[key] = record

    def _lines(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        text = self._path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        try:
            records = [json.loads(line) for line in whole.splitlines()]
        except ValueError:
            records = [None]
        if not all(isinstance(record, dict) for record in records):
            raise JournalError(f"{self._path}: not a journal of results; choose another --out")
        os.truncate(self._path, len(whole))
        return records

    def _check(self, found: Any, wanted: Mapping[str, Any]) -> None:
        if not isinstance(found, dict):
            raise JournalError(f"{self._path}: not a journal of results; choose another --out")
        other = [key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)]
        if other:
            changes = ", ".join(f"{key}: {found.get(key)} there, {wanted.get(key)} here" for key in sorted(other))
            raise JournalError(
                f"{self._path} has results of other settings ({changes}); remove it or choose another --out"
            )
