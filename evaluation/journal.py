"""Results as they come: a file of JSON lines that an interrupted run goes on with."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Place = tuple[int, int]
"""Number of the set, and first picture of the batch."""


class JournalError(ValueError):
    """The file holds results that do not go with these."""


@dataclass
class Record:
    """What was found of a batch by one method.

    Attributes:
        classes: that were explained, of each picture that could be read.
        values: what measures wrote down, by name.
    """

    classes: Sequence[int]
    values: dict[str, Any] = field(default_factory=dict)


class Journal:
    """The results of a run, one line each after a first line with the run's settings.

    A line is written whole or, if the run is killed on it, is not counted.

    Attributes:
        records: by batch and method.
        failures: by batch, why pictures of it could not be used, by their names.
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
        self.records: dict[tuple[Place, str], Record] = {}
        self.failures: dict[Place, Mapping[str, str]] = {}
        lines = self._lines()
        if lines:
            self._check(lines[0].get("settings"), json.loads(json.dumps(settings)))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"settings": settings}) + "\n")
        for line in lines[1:]:
            self._take(line)

    def add(self, place: Place, method: str, classes: Sequence[int], values: Mapping[str, Any]) -> None:
        """Writes down what measures found, beside what others found before."""
        self._write(place, {"method": method, "classes": classes, "values": values})

    def begin_anew(self, place: Place, failures: Mapping[str, str]) -> None:
        """Drops what is known of a batch, as other pictures of it can be read than before."""
        self._write(place, {"failures": failures})

    def _write(self, place: Place, entry: Mapping[str, Any]) -> None:
        line = {"set": place[0], "first": place[1], **entry}
        with self._path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        self._take(line)

    def _take(self, line: Mapping[str, Any]) -> None:
        place = line["set"], line["first"]
        if "failures" in line:
            self.failures[place] = line["failures"]
            self.records = {key: record for key, record in self.records.items() if key[0] != place}
        else:
            record = self.records.setdefault((place, line["method"]), Record(line["classes"]))
            record.values.update(line["values"])

    def _lines(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        text = self._path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
        except ValueError:
            lines = [None]
        if not all(isinstance(line, dict) for line in lines):
            raise JournalError(f"{self._path}: not a journal of results; choose another --out")
        os.truncate(self._path, len(whole))
        return lines

    def _check(self, found: Any, wanted: Mapping[str, Any]) -> None:
        if not isinstance(found, dict):
            raise JournalError(f"{self._path}: not a journal of results; choose another --out")
        other = [key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)]
        if other:
            changes = ", ".join(f"{key}: {found.get(key)} there, {wanted.get(key)} here" for key in sorted(other))
            raise JournalError(
                f"{self._path} has results of other settings ({changes}); remove it or choose another --out"
            )
