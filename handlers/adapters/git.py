"""GIT (Wang et al., GIT, TMLR 2022): captions by a decoder that reads the image as a prefix of the text."""

from torch import Tensor

from handlers.adapters.captioner import LibraryCaptioner


class GitCaptioner(LibraryCaptioner):
    """The first rows of the network's scores are the image's; those of the text follow."""

    def start(self) -> int:
        """The id from which the network writes."""
        start: int = self.network.config.bos_token_id
        return start

    def logits(self, images: Tensor, given: Tensor) -> Tensor:
        """Scores of what comes after each id."""
        logits: Tensor = self.network(pixel_values=images, input_ids=given).logits
        return logits[:, -given.shape[1] :]
