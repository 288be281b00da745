"""What is known of a call while it is answered, for whoever accounts for it: logs, traces, exemplars."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from gateway.trace_context import TraceContext


@dataclass
class Call:
    """A call, or an item of a stream. Nothing in it is of the image, or of a text that the caller sent.

    Attributes:
        trace: where in which trace it stands, if its caller or this server traces it.
        caller: the name of whose token it brought; empty where nobody asks for one.
        request_id: the caller's id of it, or one of ours.
        model: the model that answers it, with its version; empty until one was found.
        method: the method of explanation; empty where nothing is explained.
        reason: of the error that it ended in; empty while there is none.
    """

    trace: TraceContext | None = None
    caller: str = ""
    request_id: str = ""
    model: str = ""
    method: str = ""
    reason: str = ""


_current: ContextVar[Call | None] = ContextVar("call", default=None)


@contextmanager
def under_way(call: Call) -> Iterator[Call]:
    """Makes a call the current one of this task, and of those that it starts."""
    token = _current.set(call)
    try:
        yield call
    finally:
        _current.reset(token)


def current() -> Call:
    """The call that is under way in this task; one that nobody looks at where there is none."""
    return _current.get() or Call()


def exemplar() -> dict[str, str] | None:
    """What leads from a sample to the trace of the current call; None if nobody records one."""
    trace = current().trace
    return {"trace_id": trace.trace_id} if trace and trace.sampled else None
