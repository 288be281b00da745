"""Following TorchServe's log, in the form that ``torchserve_config`` gives it: level, thread and message."""

import re
from collections import deque
from dataclasses import dataclass, field

_WORKER_THREAD = re.compile(r"W-\d+-(?P<model>.+)_(?P<version>[^_]+?)(?P<stream>-stdout|-stderr)?")
_KEPT_LINES = 200
_SHOWN_LINES = 12


@dataclass(frozen=True)
class WorkerDied:
    """A worker's process ended.

    Attributes:
        model: its model.
        version: of the model.
        last_words: what it said last; of tracebacks the end of the first one, where the cause is.
        explained: whether they hold a cause. TorchServe closes the pipe of a worker that is dying, and may lose them.
    """

    model: str
    version: str
    last_words: str
    explained: bool


@dataclass
class _Worker:
    output: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    remarks: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))  # of TorchServe about it
    streams_ended: int = 0


class TorchServeLog:
    """Tells what matters in the log from what does not.

    Attributes:
        verbose: whether what workers print is worth showing; while they start it is mostly noise, and kept for the case
            that they die.
        tail: the last lines, for the case that TorchServe itself ends.
    """

    def __init__(self) -> None:
        self.verbose = False
        self.tail: deque[str] = deque(maxlen=_SHOWN_LINES)
        self._workers: dict[str, _Worker] = {}

    def feed(self, line: str) -> WorkerDied | str | None:
        """Takes the next line.

        Returns:
            The death of a worker, a line to show, or None.
        """
        line = line.rstrip()
        level, _, rest = line.partition("\t")
        thread, _, message = rest.partition("\t")
        if message.strip():
            self.tail.append(message)
        elif line:
            self.tail.append(line)  # not of the log: Java's own words
        worker = _WORKER_THREAD.fullmatch(thread)
        if worker:
            return self._feed_worker(worker, message)
        return message if level in ("WARN", "ERROR", "FATAL") else None

    def _feed_worker(self, thread: re.Match[str], message: str) -> WorkerDied | str | None:
        model, version, stream = thread["model"], thread["version"], thread["stream"]
        key = thread[0].removesuffix(stream or "")
        worker = self._workers.setdefault(key, _Worker())
        if stream and message.startswith("Stopped Scanner"):
            worker.streams_ended += 1
            if worker.streams_ended == len(("stdout", "stderr")):
                del self._workers[key]
                return WorkerDied(model, version, *_last_words(list(worker.output), list(worker.remarks)))
            return None
        (worker.output if stream else worker.remarks).append(message)
        return f"{model}:{version}: {message}" if self.verbose and message else None


def _last_words(output: list[str], remarks: list[str]) -> tuple[str, bool]:
    """Picks the lines that tell most of a worker's end, and says whether there is a cause among them."""
    for start, line in enumerate(output):
        if line.startswith("Fatal Python error"):  # a crash of native code; the first lines say most
            return "\n".join(output[start : start + _SHOWN_LINES]), True
        if line.startswith("Traceback (most recent call last)"):
            # It ends with the first line that is not indented: the exception.
            for end in range(start + 1, len(output)):
                if output[end][:1].strip():
                    return "\n".join(output[start : end + 1][-_SHOWN_LINES:]), True
    return "\n".join((output + remarks)[-_SHOWN_LINES:]), False
