"""Scoring images under many masks, in bounded memory and in full batches."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from saliency.capture import call, scores_of
from saliency.lean import often
from saliency.maps import upsample
from saliency.picture import picture_of, with_picture
from saliency.registry import Problem, option
from saliency.targets import Targets

CHUNK = 32
"""Rows per run of the model, or of its head."""

CPU_CHUNK = 8
"""Masked images per forward of the model on a CPU, where more are slower: what layers hand on leaves the caches."""

Blend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Makes disturbed images ``[R, C, H, W]`` of images, masks ``[R, 1, H, W]`` and which images they are, ``[R]``."""


def score_masked(
    problem: Problem,
    targets: Targets,
    masks: Tensor,
    images: Tensor,
    *,
    prepare: Callable[[Tensor], Tensor] = lambda masks: masks,
    blend: Blend = lambda pictures, masks, _images: pictures * masks,
) -> Tensor:
    """The scores of images under masks.

    Masks wait at their own resolution; a chunk at a time is upsampled, prepared and laid on.

    Args:
        problem: whose model and inputs to use.
        targets: resolved.
        masks: ``[R, h, w]``, at least one.
        images: to which image each mask belongs, ``[R]``; chunks run on over them, so that they are full.
        prepare: what is done to upsampled masks ``[R, H, W]``, such as normalising them.
        blend: how masks are laid on images.

    Returns:
        ``[R, K]`` float32, the K targets scored in the same forwards.
    """
    name, pictures = picture_of(problem.inputs)
    scores = []
    chunk = CPU_CHUNK if pictures.device.type == "cpu" else CHUNK
    model = often(problem.model, problem.inputs)
    with torch.no_grad():
        for own, owners in zip(torch.split(masks, chunk), torch.split(images, chunk), strict=True):
            upsampled = prepare(upsample(own, pictures.shape[-2:])).to(pictures.dtype)
            disturbed = blend(pictures[owners], upsampled[:, None], owners)
            outputs = scores_of(call(model, with_picture(problem.inputs, name, disturbed, owners)))
            scores.append(targets.score(outputs, owners).float())
    return torch.cat(scores)


def fill() -> Any:
    """Declares the option of methods that blend images towards what :func:`filling` gives."""
    return option(
        "black",
        "what hides a pixel: black, if the caller says what that is to the model, or zero of the model's own input,"
        " which is the mean colour where images are normalised",
        choices=("black", "zero"),
    )


def filling(problem: Problem, fill: str) -> Tensor:
    """What hides a pixel, as the model takes it: ``[C, 1, 1]``, or a zero.

    A mask on an image before ``(x - mean) / std`` is a blend of the normalised image with normalised black.
    """
    return problem.black if fill == "black" and problem.black is not None else torch.zeros(())
