"""What captioners, answerers and tokenizers have in common, wherever they come from."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Word:
    """A word of a text and its tokens.

    Attributes:
        text: the word as it was written.
        start: index of its first token.
        stop: index after its last one.
    """

    text: str
    start: int
    stop: int


@dataclass(frozen=True)
class Text:
    """A text as a model reads it.

    Attributes:
        text: as it was written, or generated.
        tokens: ids, without any that begin, end or fill up.
        words: in order; together they hold every token.
        unknown: words that the tokenizer does not know and gives its token for the unknown.
    """

    text: str
    tokens: tuple[int, ...]
    words: tuple[Word, ...]
    unknown: tuple[str, ...] = ()


class Tokenizer(ABC):
    """Text to tokens and back, as the model was trained with."""

    pad: int
    """The id that fills up rows."""

    @abstractmethod
    def read(self, text: str) -> Text:
        """Splits what a caller wrote.

        Raises:
            InvalidArgumentError: it is longer than the model can read.
        """

    @abstractmethod
    def write(self, tokens: list[int]) -> Text:
        """Puts generated ids into words; ids that begin, end or fill up are dropped, and so is all after an end."""


class Captioner(nn.Module, ABC):
    """A network that describes images."""

    @abstractmethod
    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Scores texts in one pass, each token given those before it.

        Args:
            images: float ``[B, 3, H, W]``.
            tokens: int64 ``[B, T]`` as :attr:`Text.tokens`, padded with :attr:`Tokenizer.pad` on the right.

        Returns:
            Logits ``[B, T, V]``: row t is for the token at t. What is padded changes no other row.
        """

    @abstractmethod
    def generate(self, images: Tensor, length: int) -> Tensor:
        """Describes images greedily: int64 ``[B, T]``, T at most ``length``, as :meth:`Tokenizer.write` takes them."""


class Matcher(nn.Module, ABC):
    """A network that says how well a text suits an image, and generates none."""

    @abstractmethod
    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Scores texts ``[B, T]`` (padded) for images: similarities as logits, ``[B, 1]``."""


class Chooser(nn.Module, ABC):
    """A network that answers questions by choosing among its labels."""

    @abstractmethod
    def forward(self, images: Tensor, question: Tensor) -> Tensor:
        """Scores answers: logits ``[B, answers]`` for questions ``[B, Q]``, int64 and padded on the right."""


class Answerer(nn.Module, ABC):
    """A network that answers questions by generating text."""

    @abstractmethod
    def forward(self, images: Tensor, question: Tensor, tokens: Tensor) -> Tensor:
        """Scores answers in one pass, each token given those before it: ``[B, T, V]`` for ``[B, T]``."""

    @abstractmethod
    def generate(self, images: Tensor, question: Tensor, length: int) -> Tensor:
        """Answers greedily: int64 ``[B, T]``, T at most ``length``."""
