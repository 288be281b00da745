"""Explaining all images of a folder, over streams; what was done before is not done again."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

from google.protobuf.json_format import MessageToDict

from camserve.bulk import stream_item
from camserve.client import ExplanationClient
from camserve.errors import CamserveError, ResourceExhaustedError, UnavailableError
from camserve.folder_output import FolderOutput
from camserve.requests import ExplainArguments, explain_request
from camserve.v1 import explanation_pb2 as pb

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"})
"""Of files that are taken for images."""

_PASSING = (UnavailableError, ResourceExhaustedError)
"""Failures of an item that say nothing of it; it is sent again."""

_PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Before each further attempt while nothing gets through; then it is given up."""


class ArgumentsChangedError(ValueError):
    """The output is of a run with other arguments."""


@dataclass
class FolderProgress:
    """How far a folder is explained.

    Attributes:
        total: images in the folder.
        before: those that an earlier run had explained.
        done: those that this run has explained.
        failed: what was wrong with each of the others that were tried, by its path in the folder.
    """

    total: int
    before: int
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def images(folder: Path) -> list[str]:
    """The images of a folder and of those in it, as paths in it, in order."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def explain_folder(
    client: ExplanationClient,
    folder: Path,
    output: FolderOutput,
    *,
    streams: int = 1,
    progress: Callable[[FolderProgress], None] = lambda _: None,
    **arguments: Unpack[ExplainArguments],
) -> FolderProgress:
    """Explains the images that have no explanation in the output yet.

    A server that stops or cannot be reached is waited for, for a minute; what it had not answered is sent again.

    Args:
        client: of the server.
        folder: where the images are.
        output: where their explanations go.
        streams: how many streams to have open; with several replicas, as many or more, for each stream is one's.
        progress: is told after each image; from several threads, one at a time.
        **arguments: those of ``ExplanationClient.explain``.

    Returns:
        How it ended. What failed is in ``failed.jsonl`` of the output too, and is tried again by the next run.

    Raises:
        ArgumentsChangedError: the output is of a run with other arguments.
        CamserveError: the server cannot be reached any more.
        OSError: the output cannot be written.
    """
    _keep_arguments(output.folder, arguments)
    names = images(folder)
    known = output.known()
    work = _Work([name for name in names if name not in known])
    state = FolderProgress(total=len(names), before=len(names) - len(work))
    run = _Run(client, folder, output, arguments, work, state, progress)
    progress(state)
    try:
        with ThreadPoolExecutor(streams) as pool:
            try:
                for ended in [pool.submit(run.stream) for _ in range(streams)]:
                    ended.result()
            except BaseException:
                work.clear()  # streams end with what they have in hand
                raise
    finally:
        output.close()
    lines = (json.dumps({"image": name, "error": text}) + "\n" for name, text in sorted(state.failed.items()))
    (output.folder / "failed.jsonl").write_text("".join(lines), encoding="utf-8")
    return state


class _Work:
    """Names to do, handed out one by one and taken back."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(reversed(names))
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._names)

    def take(self) -> str | None:
        with self._lock:
            return self._names.pop() if self._names else None

    def clear(self) -> None:
        with self._lock:
            self._names.clear()

    def give_back(self, names: Sequence[str]) -> None:
        with self._lock:
            self._names += reversed(names)


@dataclass
class _Run:
    client: ExplanationClient
    folder: Path
    output: FolderOutput
    arguments: ExplainArguments
    work: _Work
    state: FolderProgress
    progress: Callable[[FolderProgress], None]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def stream(self) -> None:
        """Works until there is nothing left to do, on one stream after another."""
        pauses = iter(_PAUSES_S)
        while self.work:
            done = self.state.done
            error = self._one_stream()
            if self.state.done > done:
                pauses = iter(_PAUSES_S)
            if error is not None or self.work:
                pause = next(pauses, None)
                if pause is None:
                    raise error or UnavailableError("the server answers none of the images", "SERVER_UNREACHABLE")
                time.sleep(pause)

    def _one_stream(self) -> CamserveError | None:
        """Sends items until there are none left or the stream ends, which gives them back."""
        sent: dict[str, str] = {}
        try:
            for each in self.client.explain_stream(self._items(sent)):
                name = sent.pop(each.id)
                if isinstance(each.outcome, _PASSING):
                    self.work.give_back([name])
                    continue
                with self.lock:
                    if isinstance(each.outcome, CamserveError):
                        self._failed(name, each.outcome.message)
                    else:
                        self.output.write(name, each.outcome)
                        self.state.done += 1
                        self.progress(self.state)
        except CamserveError as error:
            return error
        finally:
            self.work.give_back(list(sent.values()))
        return None

    def _items(self, sent: dict[str, str]) -> Iterator[pb.ExplainStreamRequest]:
        number = 0
        while (name := self.work.take()) is not None:
            try:
                item = stream_item(str(number), self.folder / name, **self.arguments)
            except OSError as error:
                with self.lock:
                    self._failed(name, f"cannot be read: {error.strerror or error}")
                continue
            sent[item.id] = name
            number += 1
            yield item

    def _failed(self, name: str, text: str) -> None:
        self.state.failed[name] = text
        self.progress(self.state)


def _keep_arguments(folder: Path, arguments: ExplainArguments) -> None:
    """Writes down what is asked of each image, or compares it with what was asked before."""
    request = explain_request(b"", **arguments)
    asked: dict[str, Any] = MessageToDict(request, preserving_proto_field_name=True)
    file = folder / "arguments.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asked, indent=2) + "\n", encoding="utf-8")
    elif json.loads(file.read_text(encoding="utf-8")) != asked:
        raise ArgumentsChangedError(
            f"{folder} holds explanations that were made with other arguments, which {file} has; "
            "give the same ones, or another folder"
        )
