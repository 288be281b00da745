"""ViLT (Kim et al., ViLT, ICML 2021): answers chosen among labels."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from handlers.adapters.padding import enclosed
from handlers.adapters.tokenizer import LibraryTokenizer
from handlers.language import Chooser


class ViltChooser(Chooser):
    """Question and patches in one sequence.

    The network's own forward draws the order of the patches at random, and may leave some out. Here they are embedded
    in rows and columns, all of them: the scores are the same, as each patch carries its place.

    Attributes:
        network: the library's.
        config: its configuration; ``id2label`` has the answers.
    """

    def __init__(self, network: nn.Module, tokenizer: LibraryTokenizer) -> None:
        super().__init__()
        self.network: Any = network
        self.config: Any = self.network.config
        self._tokenizer = tokenizer

    def forward(self, images: Tensor, question: Tensor) -> Tensor:
        """Scores answers."""
        own = self._tokenizer
        ids, filled = enclosed(question[:, : own.longest], own.pad, own.before, own.after)
        patches = self._patches(images)
        seen = torch.ones(patches.shape[:2], dtype=torch.long, device=patches.device)
        logits: Tensor = self.network(ids, attention_mask=filled, image_embeds=patches, pixel_mask=seen).logits
        return logits

    def _patches(self, images: Tensor) -> Tensor:
        """The class token and the patches, each with its place: ``[B, 1 + cells, C]``."""
        embeddings = self.network.vilt.embeddings
        patches = embeddings.patch_embeddings(images)
        first, rest = embeddings.position_embeddings.tensor_split([1], dim=1)
        side = self.config.image_size // self.config.patch_size
        table = rest.transpose(1, 2).unflatten(2, (side, side))
        places = functional.interpolate(table, size=patches.shape[-2:], mode="bilinear", align_corners=True)
        cells = (patches + places).flatten(2).transpose(1, 2)
        return torch.cat([(embeddings.cls_token + first).expand(len(images), -1, -1), cells], 1)
