"""Saying what a misspelt name may have meant."""

from collections.abc import Collection
from difflib import get_close_matches

_LONGEST = 64
_MOST = 2000  # names to compare with; comparing takes some microseconds each


def shown(text: str) -> str:
    """A caller's text in quotes, for a message, cut where it is long."""
    return repr(text if len(text) <= _LONGEST else text[:_LONGEST] + "...")


def hint(name: str, names: Collection[str]) -> str:
    """The end of a sentence that says that a name is not known: the nearest ones, or all if they are few."""
    near = get_close_matches(name[:_LONGEST], names, n=3, cutoff=0.5) if len(names) <= _MOST else []
    if near:
        return f"; nearest: {', '.join(near)}"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= 8 else ""
