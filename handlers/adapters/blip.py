"""BLIP (Li et al., BLIP, ICML 2022): captions, and answers that are generated."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from handlers.adapters.captioner import GREEDY, LibraryCaptioner
from handlers.adapters.padding import enclosed, lengthened, preceding
from handlers.adapters.tokenizer import LibraryTokenizer
from handlers.language import Answerer


class BlipCaptioner(LibraryCaptioner):
    """Writes from BLIP's own start token, not from the [CLS] that its tokenizer puts before a text."""

    def start(self) -> int:
        """The id from which the network writes."""
        start: int = self.network.config.text_config.bos_token_id
        return start

    def logits(self, images: Tensor, given: Tensor) -> Tensor:
        """Scores of what comes after each id."""
        _check_size(images, self.network.config)
        logits: Tensor = self.network(pixel_values=images, input_ids=given).logits
        return logits


class BlipAnswerer(Answerer):
    """An encoder reads the question beside the image, a decoder writes the answer from what it read.

    Attributes:
        network: the library's.
    """

    def __init__(self, network: nn.Module, tokenizer: LibraryTokenizer) -> None:
        super().__init__()
        self.network: Any = network
        self._tokenizer = tokenizer

    def forward(self, images: Tensor, question: Tensor, tokens: Tensor) -> Tensor:
        """Scores answers in one pass, each token given those before it."""
        given = preceding(tokens[:, : self._tokenizer.longest], self.network.decoder_start_token_id)
        order, logits = [], []
        for rows, read in self._read(images, question):
            order.append(rows)
            logits.append(self.network.text_decoder(given[rows], encoder_hidden_states=read).logits)
        return lengthened(torch.cat(logits)[torch.cat(order).argsort()], tokens.shape[1])

    @torch.no_grad()
    def generate(self, images: Tensor, question: Tensor, length: int) -> Tensor:
        """Answers greedily."""
        text, start = self.network.config.text_config, self.network.decoder_start_token_id
        written: dict[int, Tensor] = {}
        for rows, read in self._read(images, question):
            ids = self.network.text_decoder.generate(
                question.new_full((len(rows), 1), start),
                encoder_hidden_states=read,
                eos_token_id=text.sep_token_id,
                pad_token_id=text.pad_token_id,
                max_new_tokens=min(length, self._tokenizer.longest),
                **GREEDY,
            )
            written |= zip(rows.tolist(), ids[:, 1:], strict=True)
        return pad_sequence([written[row] for row in range(len(written))], True, text.pad_token_id)

    def _read(self, images: Tensor, question: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """What the encoder makes of images and questions, by the length of the questions.

        The decoder's attention to the question takes no mask, so questions must not be padded there.

        Yields:
            Which rows they are, ``[R]``, and ``[R, Q, C]``.
        """
        _check_size(images, self.network.config)
        own = self._tokenizer
        ids, filled = enclosed(question[:, : own.longest], own.pad, own.before, own.after)
        seen = self.network.vision_model(pixel_values=images).last_hidden_state
        read = self.network.text_encoder(ids, attention_mask=filled, encoder_hidden_states=seen).last_hidden_state
        lengths = filled.sum(1)
        for length in sorted(set(lengths.tolist())):
            rows = (lengths == length).nonzero()[:, 0]
            yield rows, read[rows, :length]


def _check_size(images: Tensor, config: Any) -> None:
    """Raises ValueError for images of another size, which the network would misplace without a word."""
    side = config.vision_config.image_size
    if images.shape[-2:] != (side, side):
        raise ValueError(
            f"the network takes images of {side} x {side}, not {images.shape[-2]} x {images.shape[-1]}; set"
            " preprocessing.size in its recipe"
        )
