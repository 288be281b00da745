"""Files that are read again when they change."""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

_INTERVAL = 1.0  # seconds between looks at the files

ValueT = TypeVar("ValueT")

_Stamp = tuple[int, int, int] | None


class Fresh(Generic[ValueT]):
    """What files hold now.

    They are looked at once a second at most, when somebody asks. What cannot be read, such as a file half written, is
    logged and changes nothing.
    """

    def __init__(self, files: Sequence[Path], read: Callable[[], ValueT]) -> None:
        """Reads for the first time.

        Args:
            files: those that count.
            read: makes the value of them.

        Raises:
            Exception: whatever ``read`` raises.
        """
        self._files = files
        self._read = read
        self._stamps = self._look()
        self._value = read()
        self._next_look = time.monotonic() + _INTERVAL

    def get(self) -> ValueT:
        """The value as of the last second."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _INTERVAL
            stamps = self._look()
            if stamps != self._stamps:
                self._stamps = stamps
                self._read_again()
        return self._value

    def _read_again(self) -> None:
        names = ", ".join(map(str, self._files))
        try:
            self._value = self._read()
        except Exception as error:  # whatever it is, the service goes on as it was
            log.error("%s changed and cannot be read; what was read before still holds: %s", names, error)
        else:
            log.info("read %s again", names)

    def _look(self) -> list[_Stamp]:
        return [_stamp(file) for file in self._files]


def _stamp(file: Path) -> _Stamp:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
