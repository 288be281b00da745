"""Rows of tokens of different lengths."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def preceding(tokens: Tensor, start: int) -> Tensor:
    """What a decoder is given to score each of ``[B, T]`` tokens: those before it, and a start before all."""
    return torch.cat([torch.full_like(tokens[:, :1], start), tokens[:, :-1]], 1)


def enclosed(tokens: Tensor, pad: int, before: Sequence[int], after: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Puts ids around each row's text.

    Args:
        tokens: int64 ``[B, T]``, padded on the right.
        pad: what with.
        before: ids to put before each text.
        after: ids to put after each text, before its padding.

    Returns:
        The ids ``[B, before + T + after]``, and as many that are 1, but 0 where padding is; both int64.
    """
    places = torch.arange(tokens.shape[1] + 1, device=tokens.device)
    # Padding is what nothing else follows: some tokenizers pad with what may be in a text too.
    lengths = (places[1:] * (tokens != pad)).amax(1, keepdim=True)
    ids = torch.cat(
        [tokens.new_tensor(before).expand(len(tokens), -1), tokens, tokens.new_full((len(tokens), len(after)), pad)], 1
    )
    for place, token in enumerate(after):
        ids.scatter_(1, lengths + len(before) + place, token)
    filled = torch.arange(ids.shape[1], device=ids.device) < lengths + len(before) + len(after)
    return ids, filled.long()


def lengthened(logits: Tensor, length: int) -> Tensor:
    """Logits ``[B, t, V]`` with rows of zeros after them, for padding that a model had no places for."""
    return functional.pad(logits, (0, 0, 0, length - logits.shape[1]))
