"""What a caller may call its requests."""

from gateway.admission.fault import Faults, fault
from gateway.admission.nearest import shown

_LONGEST = 128


def identifier(value: str, field: str, reason: str) -> Faults:
    """An id is short and printable, so that it can stand in a log."""
    if len(value) > _LONGEST or not (value.isascii() and value.isprintable()):
        yield fault(field, reason, f"is {shown(value)}; send {_LONGEST} printable ASCII characters at most")
