"""A line on the terminal that says how far something is."""

import time
from typing import TextIO

_WIDTH = 30
_INTERVAL_S = 0.1


class ProgressBar:
    """Writes the line over again, a few times a second; where there is no terminal it writes nothing until the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._start = time.monotonic()
        self._first: int | None = None
        self._next = 0.0
        self._line = ""

    def show(self, done: int, total: int, failed: int) -> None:
        """Says how many of how many are done, and how many have failed."""
        now = time.monotonic()
        if self._first is None:
            self._first = done
        tried = done + failed
        rate = (tried - self._first) / max(now - self._start, 1e-9)
        filled = _WIDTH * tried // max(total, 1)
        bar = "#" * filled + "-" * (_WIDTH - filled)
        left = f", {_clock((total - tried) / rate)} left" if rate and tried < total else ""
        faults = f", {failed} failed" if failed else ""
        self._line = f"[{bar}] {tried}/{total}, {rate:.1f}/s{faults}{left}"
        if self._stream.isatty() and (now >= self._next or tried == total):
            self._next = now + _INTERVAL_S
            print(f"\r{self._line:<78}", end="", file=self._stream, flush=True)

    def close(self) -> None:
        """Ends the line."""
        if self._line:
            print(f"\r{self._line:<78}" if self._stream.isatty() else self._line, file=self._stream, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
