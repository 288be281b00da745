"""How far a long run is, on stderr: a bar that is written over itself, or plain lines where there is no terminal."""

import sys
import time
from typing import Final

_WIDTH: Final = 24
_BETWEEN_LINES_S: Final = 10.0


class Progress:
    """A bar with the count, the pace, and the time that is left at it."""

    def __init__(self, total: int, unit: str) -> None:
        """Starts the clock.

        Args:
            total: how many there are to do.
            unit: of what.
        """
        self._total, self._unit = total, unit
        self._done = self._skipped = self._width = 0
        self._terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        self._told = -_BETWEEN_LINES_S

    def skip(self, count: int) -> None:
        """Counts what was done before, or will not be, and says nothing of the pace."""
        self._skipped += count

    def advance(self, count: int, what: str) -> None:
        """Counts what was done now, and says what it was of."""
        self._done += count
        elapsed = time.monotonic() - self._started
        place = self._done + self._skipped
        ahead = self._total - place
        if not self._terminal and ahead and elapsed - self._told < _BETWEEN_LINES_S:
            return
        self._told = elapsed
        filled = _WIDTH * place // self._total
        text = (
            f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {place}/{self._total} {self._unit},"
            f" {self._done / elapsed:.1f}/s, {_duration(ahead * elapsed / self._done)} left, {what}"
        )
        sys.stderr.write(f"\r{text:<{self._width}}" if self._terminal else f"{text}\n")
        sys.stderr.flush()
        self._width = len(text)

    def end(self) -> None:
        """Leaves the bar behind."""
        if self._terminal and self._done:
            sys.stderr.write("\n")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
