"""Vision encoders and text decoders put together, as in ViT-GPT2 and TrOCR (Li et al., TrOCR, AAAI 2023)."""

from torch import Tensor

from handlers.adapters.captioner import LibraryCaptioner
from model_store.recipe import RecipeError


class EncoderDecoderCaptioner(LibraryCaptioner):
    """Any pair of them."""

    def start(self) -> int:
        """The id from which the network writes.

        Raises:
            RecipeError: its configuration does not say.
        """
        for name in ("decoder_start_token_id", "bos_token_id"):
            for place in (self.network.generation_config, self.network.config):
                start: int | None = getattr(place, name, None)
                if start is not None:
                    return start
        raise RecipeError("source.transformers: the configuration has no decoder_start_token_id; add it")

    def logits(self, images: Tensor, given: Tensor) -> Tensor:
        """Scores of what comes after each id."""
        logits: Tensor = self.network(pixel_values=images, decoder_input_ids=given).logits
        return logits
