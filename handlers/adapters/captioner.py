"""What captioners of transformers have in common."""

from abc import abstractmethod
from typing import Any

from torch import Tensor, nn

from handlers.adapters.padding import lengthened, preceding
from handlers.adapters.tokenizer import LibraryTokenizer
from handlers.language import Captioner

GREEDY = {"do_sample": False, "num_beams": 1}
"""Options of the library's ``generate``: the likeliest token each time."""


class LibraryCaptioner(Captioner):
    """A captioner that writes on from one start token.

    Attributes:
        network: the library's.
    """

    def __init__(self, network: nn.Module, tokenizer: LibraryTokenizer) -> None:
        super().__init__()
        self.network: Any = network
        self._longest = tokenizer.longest
        self._start = self.start()

    @abstractmethod
    def start(self) -> int:
        """The id from which the network writes."""

    @abstractmethod
    def logits(self, images: Tensor, given: Tensor) -> Tensor:
        """Scores of what comes after each of the ids that the decoder is given: ``[B, T, V]`` for ``[B, T]``."""

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Scores texts in one pass, each token given those before it."""
        logits = self.logits(images, preceding(tokens[:, : self._longest], self._start))
        return lengthened(logits, tokens.shape[1])

    def generate(self, images: Tensor, length: int) -> Tensor:
        """Describes images greedily."""
        most = min(length, self._longest)
        written: Tensor = self.network.generate(pixel_values=images, max_new_tokens=most, **GREEDY)
        return written[:, 1:]
