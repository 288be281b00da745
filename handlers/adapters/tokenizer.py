"""Tokenizers of transformers, and how their tokens make words."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path
from string import punctuation
from typing import Any

from camserve.errors import InvalidArgumentError
from handlers.language import Text, Tokenizer, Word
from handlers.libraries import import_library
from model_store.recipe import RecipeError

Span = tuple[int, int]
"""First character and the one after the last."""

_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*|[^\w\s]")


class LibraryTokenizer(Tokenizer):
    """A tokenizer of transformers.

    Attributes:
        before: ids that it puts before a text.
        after: ids that it puts after a text.
        longest: most tokens of a text for which the model has places, those apart.
    """

    def __init__(self, tokenizer: Any, places: int) -> None:
        """Takes a fast tokenizer, one that tells which characters its tokens stand for.

        Args:
            tokenizer: the library's.
            places: how many tokens the model can tell apart by their positions.

        Raises:
            RecipeError: it has no token to fill up rows with.
        """
        if tokenizer.pad_token_id is None:
            raise RecipeError("the tokenizer has no token that fills up rows; set pad_token in tokenizer_config.json")
        self._own = tokenizer
        self.pad = int(tokenizer.pad_token_id)
        self.before, self.after = _surroundings(tokenizer)
        self.longest = places - len(self.before) - len(self.after)
        self._unknown = tokenizer.unk_token_id
        self._ends = {tokenizer.eos_token_id, tokenizer.sep_token_id, *self.after}
        self._silent = {*tokenizer.all_special_ids, *self.before, *self._ends} - {self._unknown}

    def read(self, text: str) -> Text:
        """Splits what a caller wrote; names of special tokens in it are text like any other.

        Raises:
            InvalidArgumentError: it has more tokens than the model has places for.
        """
        found = self._own(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
        tokens = found["input_ids"]
        if len(tokens) > self.longest:
            raise InvalidArgumentError(
                f"the text has {len(tokens)} tokens, but the model takes at most {self.longest}; shorten it",
                "TEXT_TOO_LONG",
                metadata={"tokens": str(len(tokens)), "max_tokens": str(self.longest)},
            )
        return self._text(text, tokens, found["offset_mapping"])

    def write(self, tokens: list[int]) -> Text:
        """Puts generated ids into words; ids that begin, end or fill up are dropped, and so is all after an end."""
        end = next((place for place, token in enumerate(tokens) if token in self._ends), len(tokens))
        kept = [token for token in tokens[:end] if token not in self._silent]
        written = [self._decoded(kept[:count]) for count in range(len(kept) + 1)]
        # A token may hold a part of a character, written as a mark of replacement until the rest has come.
        stops = [len(part.rstrip("\ufffd")) for part in written[:-1]] + [len(written[-1])]
        return self._text(written[-1], kept, list(pairwise(stops)))

    def _decoded(self, tokens: list[int]) -> str:
        decoded: str = self._own.decode(tokens, clean_up_tokenization_spaces=False)
        return decoded

    def _text(self, text: str, tokens: Sequence[int], spans: Sequence[Span]) -> Text:
        words = _words(text, spans)
        unknown = dict.fromkeys(word.text for word in words if self._unknown in tokens[word.start : word.stop])
        return Text(text, tuple(tokens), words, tuple(unknown))


def load_tokenizer(folder: Path, config: Any) -> LibraryTokenizer:
    """The tokenizer of a model of transformers.

    Args:
        folder: with its files, best a ``tokenizer.json``.
        config: the model's.

    Raises:
        RecipeError: there is none, or only one that cannot tell which characters its tokens stand for.
    """
    library = import_library("transformers")
    kind = library.models.auto.tokenization_auto.get_tokenizer_config(folder, local_files_only=True)
    # SigLIP's own class cannot tell, but its file can do all but what that class does to a text before.
    siglip = kind.get("tokenizer_class", "").startswith("SiglipTokenizer")
    loader = library.PreTrainedTokenizerFast if siglip else library.AutoTokenizer
    try:
        tokenizer = loader.from_pretrained(folder, config=config, local_files_only=True)
    except (OSError, ValueError, ImportError) as error:
        raise RecipeError(f"the tokenizer cannot be read: {error}; put a tokenizer.json into {folder}") from error
    if not tokenizer.is_fast:
        raise RecipeError(f"{type(tokenizer).__name__} is no fast tokenizer; put a tokenizer.json into {folder}")
    if siglip:
        _make_canonical(tokenizer)
    return LibraryTokenizer(tokenizer, config.get_text_config(decoder=True).max_position_embeddings)


def _make_canonical(tokenizer: Any) -> None:
    """Lets a tokenizer drop punctuation and case, as SigLIP was trained."""
    normalizers, pattern = import_library("tokenizers.normalizers"), import_library("tokenizers").Regex
    backend = tokenizer.backend_tokenizer
    canonical = [normalizers.Replace(pattern(f"[{re.escape(punctuation)}]"), ""), normalizers.Lowercase()]
    own = [backend.normalizer] if backend.normalizer else []
    backend.normalizer = normalizers.Sequence([*canonical, *own])


def _surroundings(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids that a tokenizer puts before a text and after it."""
    found = tokenizer("a", return_special_tokens_mask=True)
    ids, special = found["input_ids"], found["special_tokens_mask"]
    start = special.index(0)
    stop = len(special) - special[::-1].index(0)
    return tuple(ids[:start]), tuple(ids[stop:])


def _words(text: str, spans: Sequence[Span]) -> tuple[Word, ...]:
    """Groups tokens by the words that their first characters are in; a blank one goes with the next word."""
    stops = [match.end() for match in _WORD.finditer(text)]

    def word(place: int) -> int:
        start, stop = spans[place]
        first = stop - len(text[start:stop].lstrip())
        return min(bisect_right(stops, first), len(stops) - 1)

    groups = [list(group) for _, group in groupby(range(len(spans)), word)]
    return tuple(
        Word(text[spans[group[0]][0] : spans[group[-1]][1]].strip(), group[0], group[-1] + 1) for group in groups
    )
