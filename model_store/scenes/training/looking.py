"""Looking at what is spoken of: what the glances of the captioner and of the answerer are trained by.

In the manner of Liu et al., "Attention Correctness in Neural Image Captioning" (2017): attention that is told where the
things are learns faster, and what it says of how they lie to each other rests on where they are.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from model_store.scenes.language import Caption, Question

ANYWHERE: Final = -2
"""In place of an object: the look is free."""

_LEAST = 1e-4  # of a look that counts; where an object owns no cell nothing can be learnt


def looking_loss(looks: Tensor, wanted: Tensor, owners: Tensor) -> Tensor:
    """Mean of -log of the share of each look that lies on the object that it should find.

    Args:
        looks: `[B, T, places]`, rows sum to 1.
        wanted: Indexes of objects or `ANYWHERE`, int64 `[B, T]`.
        owners: Of the places, int64 `[B, side, side]`.
    """
    own = owners.flatten(1)[:, None] == wanted[:, :, None]
    found = (looks * own).sum(2)[own.any(2)]
    return -(found + _LEAST).log().mean() if found.numel() else found.sum()


def wanted_by_caption(caption: Caption, length: int) -> list[list[int]]:
    """The objects that both glances should find for each token of a caption: `[2][length]`.

    The first should find what the words so far speak of, once they have named it; the second what the next word speaks
    of, which for a relation is the object that it leads to.
    """
    named = [phrase for phrase in caption.phrases if len(phrase.objects) == 1]
    said, next_up = [ANYWHERE] * length, [ANYWHERE] * length
    start = 0
    for place, phrase in enumerate(named):
        next_up[start : phrase.stop] = [phrase.objects[0]] * (phrase.stop - start)
        start = phrase.stop
        until = named[place + 1].start if place + 1 < len(named) else start  # the end-of-text token is also read there
        said[start : until + 1] = [phrase.objects[0]] * (until + 1 - start)
    return [said[:length], next_up]


def wanted_by_question(question: Question) -> list[int]:
    """The objects that both glances should find for a question: `[2]`."""
    if question.kind == "count" or not 1 <= len(question.objects) <= 2:
        return [ANYWHERE, ANYWHERE]
    return [*question.objects, ANYWHERE][:2]


def wanted_table(rows: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """Rows of `wanted_by_caption` of any lengths as one tensor, int64 `[n, 2, T]`, filled up with `ANYWHERE`."""
    table = torch.full((len(rows), 2, max(len(row[0]) for row in rows)), ANYWHERE)
    for line, row in zip(table, rows, strict=True):
        line[:, : len(row[0])] = torch.tensor(row)
    return table
