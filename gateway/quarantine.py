"""Requests that are not let near a worker again."""

import hashlib
import time

from camserve.errors import FailedPreconditionError
from camserve.worker.v1 import worker_pb2

_MOST = 1024  # remembered; the oldest are forgotten first


class Quarantine:
    """Remembers requests that killed workers, and refuses them for a while.

    Two requests are the same if they differ in nothing but ids and traces. After a while one is let in again: what
    killed the workers may have been something else, such as an administrator.
    """

    def __init__(self, seconds: float) -> None:
        """Takes for how long a request is refused."""
        self._seconds = seconds
        self._until: dict[bytes, float] = {}

    def check(self, item: worker_pb2.Item) -> None:
        """Refuses an item that killed workers.

        Raises:
            FailedPreconditionError: it did.
        """
        if not self._until:  # as it should be: then nothing is hashed
            return
        if self._until.get(_digest(item), 0.0) > time.monotonic():
            raise FailedPreconditionError(
                "this very request crashed the model's worker twice and is refused for now;"
                " change the image, the method or its options",
                "REQUEST_QUARANTINED",
            )

    def add(self, item: worker_pb2.Item) -> None:
        """Refuses the item from now on."""
        self._until.pop(digest := _digest(item), None)
        self._until[digest] = time.monotonic() + self._seconds
        if len(self._until) > _MOST:
            del self._until[next(iter(self._until))]


def _digest(item: worker_pb2.Item) -> bytes:
    same = worker_pb2.Item()
    same.CopyFrom(item)
    same.ClearField("time_left")
    same.ClearField("traceparent")
    (same.explain if same.WhichOneof("request") == "explain" else same.predict).ClearField("request_id")
    return hashlib.sha256(same.SerializeToString(deterministic=True)).digest()
