"""How well a text suits an image, by an encoder for each, as in CLIP and SigLIP."""

from abc import abstractmethod
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from handlers.adapters.padding import enclosed
from handlers.adapters.tokenizer import LibraryTokenizer
from handlers.language import Matcher


class DualEncoderMatcher(Matcher):
    """The cosine of image and text, scaled as the network learned to.

    Attributes:
        network: the library's.
    """

    def __init__(self, network: nn.Module, tokenizer: LibraryTokenizer) -> None:
        super().__init__()
        self.network: Any = network
        self._tokenizer = tokenizer

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Scores texts for images."""
        own = self._tokenizer
        ids, filled = enclosed(tokens[:, : own.longest], own.pad, own.before, own.after)
        every: Tensor = self.network(pixel_values=images, **self.texts(ids, filled)).logits_per_image
        return every.diagonal()[:, None]

    @abstractmethod
    def texts(self, ids: Tensor, filled: Tensor) -> dict[str, Tensor]:
        """Whole rows of ids ``[B, T]``, and 1 where they are not padding, as the text encoder takes them."""


class CLIPMatcher(DualEncoderMatcher):
    """CLIP (Radford et al., Learning transferable visual models, ICML 2021)."""

    def texts(self, ids: Tensor, filled: Tensor) -> dict[str, Tensor]:
        """Padding is not read."""
        return {"input_ids": ids, "attention_mask": filled}


class SiglipMatcher(DualEncoderMatcher):
    """SigLIP (Zhai et al., Sigmoid loss for language image pre-training, ICCV 2023)."""

    def texts(self, ids: Tensor, filled: Tensor) -> dict[str, Tensor]:
        """Padding fills all places and is read: so the network was trained, and it takes the score from the last."""
        places = self.network.config.text_config.max_position_embeddings
        return {"input_ids": functional.pad(ids, (0, places - ids.shape[1]), value=self._tokenizer.pad)}
