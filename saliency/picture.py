"""The image among a model's inputs: laying another in its place, and differentiating with respect to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from saliency.capture import Inputs, call, scores_of
from saliency.registry import UnsuitableError

GRAPH_CHUNK = 4
"""Images per forward of a whole model with a graph, which keeps all its activations."""


def picture_of(inputs: Inputs) -> tuple[str | None, Tensor]:
    """The images ``[B, C, H, W]`` among the inputs, and their name if inputs have names.

    Raises:
        ValueError: no input has four dimensions.
    """
    if isinstance(inputs, Tensor):
        return None, inputs
    for name, value in inputs.items():
        if value.dim() == 4:
            return name, value
    raise ValueError(f"none of the inputs {', '.join(inputs)} has the shape [B, C, H, W], so there is no image")


def with_picture(inputs: Inputs, name: str | None, pictures: Tensor, images: Tensor) -> Inputs:
    """The inputs for other pictures ``[R, C, H, W]``, of which row r belongs to image ``images[r]``."""
    if not isinstance(inputs, Mapping) or name is None:
        return pictures
    return {key: pictures if key == name else value[images] for key, value in inputs.items()}


def differentiable(scores: Tensor) -> Tensor:
    """The scores, for which gradients with respect to the image can be had.

    Raises:
        UnsuitableError: they do not depend on the image by differentiable operations.
    """
    if not scores.requires_grad:
        raise UnsuitableError(
            "the model's scores do not depend on the image by differentiable operations, so there is no gradient;"
            " is part of its forward under no_grad?"
        )
    return scores


@dataclass(frozen=True)
class PicturePass:
    """One forward of a batch with a graph from the images on.

    Attributes:
        outputs: ``[R, N]``, attached to the graph.
        picture: the images ``[R, C, H, W]``, a leaf of the graph; not the caller's own tensor.
    """

    outputs: Tensor
    picture: Tensor

    def gradients(self, score: Callable[[Tensor], Tensor]) -> Tensor:
        """Gradients of scores with respect to the images, one backward per target to bound the memory.

        Args:
            score: from ``outputs`` to scores ``[R, K]``, of which row r depends on image r alone.

        Returns:
            ``[R, K, C, H, W]`` in float32 or finer; not a number where the score itself is not finite.

        Raises:
            UnsuitableError: the scores do not depend on the images by differentiable operations.
        """
        with torch.enable_grad():
            scores = differentiable(score(self.outputs))
            totals = scores.sum(0).unbind()
        stacked = torch.stack([torch.autograd.grad(y, self.picture, retain_graph=True)[0] for y in totals], 1)
        finite = scores.detach().isfinite()[..., None, None, None]
        return stacked.to(torch.promote_types(stacked.dtype, torch.float32)).where(finite, torch.nan)


def forward_from_picture(model: Callable[..., Any], inputs: Inputs) -> PicturePass:
    """Runs the model once with a graph from the images on; the inputs are left as they are."""
    name, pictures = picture_of(inputs)
    leaf = pictures.detach().requires_grad_()
    with torch.enable_grad():
        own = leaf.clone()  # the model may work in place, which a leaf does not allow
        outputs = scores_of(call(model, {**inputs, name: own} if isinstance(inputs, Mapping) and name else own))
    return PicturePass(outputs, leaf)
