"""A request whose caller watches its progress."""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2

log = logging.getLogger(__name__)

_UNREAD = 4  # events kept for a caller that reads slowly; each may hold a map per target


class Watch:
    """What passes between worker and caller while a watched request runs.

    The worker tells of progress. It cannot be told by cancelling the run that the caller has gone: TorchServe may then
    restart the worker. So the sign is a file, which the worker looks for at every step.
    """

    def __init__(self, folder: Path, map_every: int) -> None:
        """Takes a folder for the sign, and after how many steps the caller wants maps; 0: never."""
        self._abandoned = folder / uuid.uuid4().hex
        self._map_every = map_every
        self._events: deque[pb.Progress] = deque(maxlen=_UNREAD)
        self._news = asyncio.Event()

    def work(self, item: worker_pb2.Item) -> worker_pb2.Watched:
        """The request as a worker is given it."""
        return worker_pb2.Watched(item=item, map_every=self._map_every, abandoned=str(self._abandoned))

    def tell(self, progress: pb.Progress) -> None:
        """Takes an event from the worker; where too many have not been read, the oldest is lost."""
        self._events.append(progress)
        self._news.set()

    async def until(self, end: "asyncio.Future[Any]") -> AsyncIterator[pb.Progress]:
        """The events that come before the end."""
        end.add_done_callback(lambda _: self._news.set())
        ended = False
        while not ended:
            await self._news.wait()
            self._news.clear()
            ended = end.done()
            while self._events:
                yield self._events.popleft()

    def abandon(self) -> None:
        """Tells the worker that nobody waits any more."""
        try:
            self._abandoned.touch()
        except OSError as error:
            log.warning("a worker cannot be told that its caller has gone, and goes on until the deadline: %s", error)

    def close(self) -> None:
        """Takes the sign away when the run has ended."""
        self._abandoned.unlink(missing_ok=True)
