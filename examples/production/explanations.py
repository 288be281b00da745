"""Explanations made in the background: bounded in number and time, with a cheaper method to fall back on."""

import asyncio
import io
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum

from camserve import AsyncExplanationClient, CamserveError
from camserve.explanation import Explanation

METHODS = (("opti-cam", 10.0), ("grad-cam", 3.0))
"""What is tried in turn, and the seconds that each may take: the best map first, then one that is nearly free."""

_AT_ONCE = 8
"""Explanations in hand at a time; beyond them only predictions are answered."""

_KEPT = 256


class State(StrEnum):
    """Where an explanation stands."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


@dataclass
class Entry:
    """An explanation that was asked for; ``problem`` says what went wrong, or what the first methods failed of."""

    state: State = State.PENDING
    explanation: Explanation | None = None
    overlay: bytes = b""
    problem: str = ""


class Explanations:
    """Makes explanations and keeps the latest of them."""

    def __init__(self, client: AsyncExplanationClient, model: str) -> None:
        """Takes the client that asks, and the model that is asked."""
        self._client = client
        self._model = model
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, image: bytes, target: int | None) -> str:
        """Starts an explanation of a class and returns its id at once."""
        identifier, entry = uuid.uuid4().hex, Entry()
        self._entries[identifier] = entry
        while len(self._entries) > _KEPT:
            self._entries.popitem(last=False)
        if len(self._tasks) >= _AT_ONCE:
            entry.state, entry.problem = State.FAILED, "too many explanations in hand"
            return identifier
        task = asyncio.create_task(self._explain(entry, image, target))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return identifier

    def get(self, identifier: str) -> Entry | None:
        """An explanation that was started, unless too many came after it."""
        return self._entries.get(identifier)

    async def close(self) -> None:
        """Ends what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _explain(self, entry: Entry, image: bytes, target: int | None) -> None:
        for method, seconds in METHODS:
            try:
                result = await self._client.explain(
                    image, model=self._model, target=target, method=method, timeout=seconds
                )
            except CamserveError as error:  # whatever it was, a cheaper method may still do
                entry.problem = f"{method}: {error.message}"
                continue
            entry.explanation = result.explanation
            entry.overlay = await asyncio.to_thread(_png, result.explanation)
            entry.state = State.READY
            return
        entry.state = State.FAILED


def _png(explanation: Explanation) -> bytes:
    file = io.BytesIO()
    explanation.overlay().save(file, "PNG")
    return file.getvalue()
