"""Noisy copies of a batch, in bounded memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

from saliency.capture import Inputs
from saliency.masking import CHUNK
from saliency.picture import picture_of, with_picture


def noisy_copies(
    inputs: Inputs, samples: int, noise: float, seed: int, *, chunk: int = CHUNK
) -> Iterator[tuple[Inputs, Tensor]]:
    """Copies of the batch with Gaussian noise, a chunk at a time; the noise is the same for every image.

    Args:
        inputs: the batch of B images.
        samples: copies of each image.
        noise: standard deviation, as a share of the range of each image's values.
        seed: of the noise.
        chunk: rows at once, if the batch is not larger.

    Yields:
        Inputs of R rows, and to which image each belongs, ``[R]``: whole turns ``0 .. B-1``.
    """
    name, pictures = picture_of(inputs)
    batch = len(pictures)
    generator = torch.Generator().manual_seed(seed)
    low, high = pictures.amin((1, 2, 3), keepdim=True), pictures.amax((1, 2, 3), keepdim=True)
    for done in range(0, samples, max(1, chunk // batch)):
        turns = min(max(1, chunk // batch), samples - done)
        # One draw per copy, so that the noise does not depend on the size of the batch.
        draws = torch.stack([torch.randn(pictures.shape[1:], generator=generator) for _ in range(turns)])
        disturbed = pictures + noise * (high - low) * draws.to(pictures)[:, None]
        owners = torch.arange(batch, device=pictures.device).repeat(turns)
        yield with_picture(inputs, name, disturbed.flatten(0, 1), owners), owners
