"""A closed vocabulary: text to token ids and back, for networks whose words are all known."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

PAD: Final = 0
"""Fills up rows of ids; stands for nothing."""
START: Final = 1
"""What a text begins from."""
END: Final = 2
"""What a text ends with."""
UNKNOWN: Final = 3
"""Any word that is not in the vocabulary."""

_SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")
_WORD = re.compile(r"\w+")


class Words:
    """A tokenizer with one token per word; case and punctuation do not matter.

    Args:
        words: in the order of their ids, lower-case; the four special tokens come before them.

    Attributes:
        table: every token by its id.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.table: Final = (*_SPECIAL, *words)
        self._ids = {word: index for index, word in enumerate(self.table)}

    def __len__(self) -> int:
        """The number of ids, the special ones included."""
        return len(self.table)

    def split(self, text: str) -> list[str]:
        """The words of a text, in lower case."""
        return _WORD.findall(text.lower())

    def encode(self, words: Iterable[str]) -> list[int]:
        """The ids of words, of which those that are not in the vocabulary have `UNKNOWN`."""
        return [self._ids.get(word, UNKNOWN) for word in words]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The words of ids; special ones are left out."""
        return [self.table[index] for index in ids if index >= len(_SPECIAL)]
