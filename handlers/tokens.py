"""Texts as targets: the tokenizer of a closed vocabulary, and a text's score as the sum of its tokens' scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from camserve.errors import InvalidArgumentError
from handlers.language import Text, Tokenizer, Word
from model_store.words import END, PAD, UNKNOWN, Words


class WordTokenizer(Tokenizer):
    """A token per word, of a closed vocabulary."""

    pad = PAD

    def __init__(self, words: Sequence[str]) -> None:
        """Takes the words in the order of their ids, without the special ones."""
        self._words = Words(words)

    def read(self, text: str) -> Text:
        """Splits a text into words, in lower case."""
        words = self._words.split(text)
        tokens = self._words.encode(words)
        unknown = [word for word, token in zip(words, tokens, strict=True) if token == UNKNOWN]
        return _text(text, words, tokens, tuple(dict.fromkeys(unknown)))

    def write(self, tokens: list[int]) -> Text:
        """Puts ids into words up to the end; one that stands for an unknown word says nothing and is dropped too."""
        spoken = tokens[: tokens.index(END)] if END in tokens else tokens
        kept = [token for token in spoken if token > UNKNOWN]
        words = self._words.decode(kept)
        return _text(" ".join(words), words, kept)


def _text(text: str, words: Sequence[str], tokens: Sequence[int], unknown: tuple[str, ...] = ()) -> Text:
    places = tuple(Word(word, place, place + 1) for place, word in enumerate(words))
    return Text(text, tuple(tokens), places, unknown)


def read_text(tokenizer: Tokenizer, text: str, field: str) -> Text:
    """Reads what a caller wrote in a field.

    Raises:
        InvalidArgumentError: it has nothing that the model reads, such as punctuation alone, or too much.
    """
    try:
        read = tokenizer.read(text)
    except InvalidArgumentError as error:
        message = f"{field}: {error.message}"
        raise InvalidArgumentError(message, error.reason, field=field, metadata=error.metadata) from error
    if not read.tokens:
        raise InvalidArgumentError(
            f"{field} has no words that the model reads: write a text of words", "TEXT_WITHOUT_WORDS", field=field
        )
    return read


class TokenScores(nn.Module):
    """A network that generates text, as one that scores the tokens of a given text.

    Its parts are the network's own, so that layers keep their names.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._whole = (network,)  # in a tuple, and so not a part itself
        for name, part in network.named_children():
            self.add_module(name, part)
        self.train(network.training)

    def forward(self, tokens: Tensor, **inputs: Tensor) -> Tensor:
        """Scores texts in one pass, each token given those before it (teacher forcing).

        Args:
            tokens: int64 ``[B, T]``, padded on the right.
            inputs: what else the network takes.

        Returns:
            Natural log-probabilities ``[B, T, 1]``, float32 or finer. The last dimension keeps them from being taken
            for scores of classes.
        """
        logits: Tensor = self._whole[0](tokens=tokens, **inputs)
        probabilities = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
        return probabilities.gather(-1, tokens[..., None])


@dataclass(frozen=True)
class Span:
    """The log-probability of a part of a text: the sum of its tokens'.

    Attributes:
        start: index of its first token.
        stop: index after its last one.
    """

    start: int
    stop: int

    def __call__(self, output: Tensor) -> Tensor:
        """Takes one text's tokens' log-probabilities ``[T, 1]``."""
        return output[self.start : self.stop].sum()


def text_probabilities(outputs: Tensor, spans: Sequence[Span]) -> Tensor:
    """The geometric mean of the tokens' probabilities in each text, ``[R]``, given their logarithms ``[R, T, 1]``.

    It stays comparable between texts; their own probability falls with every token.
    """
    means = [own[span.start : span.stop].mean() for own, span in zip(outputs, spans, strict=True)]
    return torch.stack(means).exp()
