"""Faults of a request, of which one answer names several."""

from collections.abc import Iterable, Iterator
from itertools import islice

from camserve.errors import InvalidArgumentError

Faults = Iterator[InvalidArgumentError]
"""What a rule yields: nothing where the request keeps it."""

_MOST = 8  # named in one answer, whose size is bounded by that of gRPC's trailers


def fault(field: str, reason: str, text: str) -> InvalidArgumentError:
    """A fault of a field; the text goes on from the field's name."""
    return InvalidArgumentError(f"{field} {text}", reason, field=field)


def raise_if_any(faults: Iterable[InvalidArgumentError]) -> None:
    """Raises the first fault with the violations of those that follow.

    Raises:
        InvalidArgumentError: there is a fault.
    """
    found = list(islice(faults, _MOST))
    if found:
        first = found[0]
        violations = tuple(violation for error in found for violation in error.violations)
        raise InvalidArgumentError(first.message, first.reason, violations=violations, metadata=first.metadata)
