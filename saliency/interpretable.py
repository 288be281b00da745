"""Training a classifier whose gradients can be read: a loss that pulls its image gradient towards the guided one.

Figueroa et al., "A Learning Paradigm for Interpretable Gradients" (VISAPP 2024): ``L = L_C + λ L_R``. L_C is the
classification loss. L_R is the mean over the images of a distance between two gradients of it at the pixels:

    δ   = ∂L_C/∂x    as it is; training goes through it a second time (double backpropagation)
    δ^G = ∂^G L_C/∂x with guided backpropagation's rule at every ReLU; a constant

Both are gradients of the model as it will be explained. There batch norm's statistics are constants; in training mode
they are the batch's, and a gradient through them is another one, which can be aligned without any effect on the trained
model. So the batch's statistics serve as constants here, in a forward of its own.

The paper's text is not freely to be had; from summaries of it come the loss, the four distances and λ for cosine. That
L_C, and no logit, is differentiated for both gradients is this implementation's reading.

How the trained model is used does not change. The authors find its gradients less noisy and the maps of CAM methods
more faithful, at nearly the same accuracy.
"""

import math
from collections.abc import Callable, Mapping
from inspect import signature
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from saliency.capture import scores_of
from saliency.families.guided import GuidedBackprop, RuledReLUs
from saliency.picture import differentiable
from saliency.registry import UnsuitableError

Criterion = Callable[[Tensor, Tensor], Tensor]
"""Takes the model's scores ``[B, N]`` and the targets of a batch, gives the mean of something over its images."""


class InterpretableLoss(NamedTuple):
    """The loss of a batch; scalars.

    Attributes:
        total: ``L_C + λ L_R``, to call ``backward`` on.
        classification: L_C, detached.
        distance: L_R, detached; 0 where the gradients agree.
    """

    total: Tensor
    classification: Tensor
    distance: Tensor


def interpretable_loss(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    criterion: Criterion = F.cross_entropy,
    explained: Criterion | None = None,
    distance: str = "cosine",
    weight: float = 7.5e-3,
) -> InterpretableLoss:
    """The loss of a batch; ``total`` takes the place of ``criterion(model(images), targets)`` in training.

    The model runs twice, once for L_C and once for both gradients, which then share what dropout drops; two backward
    passes to the pixels follow. Its buffers, such as batch norm's running statistics, see the batch once. Under
    ``no_grad`` the figures are the same and nothing can be trained with them.

    Args:
        model: with ReLUs; in training mode or not. It is left as one forward leaves it.
        images: ``[B, C, H, W]``.
        targets: whatever ``criterion`` takes; class indices ``[B]`` for the default.
        criterion: L_C.
        explained: what is differentiated at the pixels; L_C if None. A loss with smoothed labels has its minimum, and
            no gradient to speak of, where the labels are learnt: give the plain one here.
        distance: one of ``DISTANCES``; the paper chose ``cosine``.
        weight: λ, at least 0. The default is the paper's for ``cosine``; the others' depends on the gradients' size.

    Raises:
        ValueError: ``distance``, ``weight`` or what ``criterion`` or ``explained`` gives is not as above.
        UnsuitableError: the scores do not depend on the images by differentiable operations; or no ReLU takes part, so
            that the guided gradient is the gradient itself.
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance must be one of {', '.join(DISTANCES)}, not {distance!r}")
    if not 0 <= weight < math.inf:
        raise ValueError(f"weight must be a finite number of at least 0, not {weight}")
    rule, picture = _Rule(), images.detach().requires_grad_()
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.enable_grad(), RuledReLUs(rule), _ConstantStatistics():
        raw = functional_call(model, buffers, (picture.clone(),))  # a leaf must not be changed in place
    with torch.enable_grad():
        score = (explained or criterion)(differentiable(scores_of(raw)), targets)
        if score.dim():
            raise ValueError("criterion and explained must give one number for the batch; take the mean")
        total = score * len(images)  # each image's own: distances then do not depend on the size of the batch
    rule.guided = True
    (guided,) = torch.autograd.grad(total, picture, retain_graph=True)
    if not rule.used:
        raise UnsuitableError(
            "no ReLU of the model lies between the images and the loss, so guided backpropagation is plain"
            " backpropagation and there is nothing to learn; use ReLU activations (ReLU6 and GELU are others)"
        )
    rule.guided = False
    (gradient,) = torch.autograd.grad(total, picture, retain_graph=True, create_graph=torch.is_grad_enabled())
    apart = DISTANCES[distance](_flat(gradient), _flat(guided)).mean()
    classification = criterion(scores_of(model(images)), targets)
    return InterpretableLoss(classification + weight * apart, classification.detach(), apart.detach())


class _Rule:
    """The gradient of the ReLUs of one forward, which may be guided in one backward and their own in another."""

    def __init__(self) -> None:
        self.guided = self.used = False

    def __call__(self, gradient: Tensor, output: Tensor) -> Tensor:
        self.used = True
        if self.guided:
            return GuidedBackprop().rule(gradient, output)
        own: Tensor = torch.ops.aten.threshold_backward(gradient, output, 0)  # what ReLU itself uses
        return own


class _ConstantStatistics(TorchFunctionMode):
    """Lets batch norm in training mode take the statistics of its batch for constants."""

    _signature = signature(F.batch_norm)

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not F.batch_norm:
            return func(*args, **kwargs)
        given = self._signature.bind(*args, **kwargs).arguments
        if given.get("training"):
            values, scale = given["input"].detach(), given.get("weight")
            dims = [dim for dim in range(values.dim()) if dim != 1]
            variance, mean = torch.var_mean(values, dims, correction=0)
            dtype = values.dtype if scale is None else scale.dtype
            given |= {"running_mean": mean.to(dtype), "running_var": variance.to(dtype), "training": False}
        return func(**given)


def _flat(gradient: Tensor) -> Tensor:
    """``[B, C·H·W]`` in float32 or finer."""
    return gradient.flatten(1).to(torch.promote_types(gradient.dtype, torch.float32))


def _cosine(gradient: Tensor, guided: Tensor) -> Tensor:
    return 1 - (F.normalize(gradient) * F.normalize(guided)).sum(1)


def _mae(gradient: Tensor, guided: Tensor) -> Tensor:
    return (gradient - guided).abs().mean(1)


def _mse(gradient: Tensor, guided: Tensor) -> Tensor:
    return (gradient - guided).square().mean(1)


def _histogram(gradient: Tensor, guided: Tensor) -> Tensor:
    shares = (F.normalize(values.abs(), p=1) for values in (gradient, guided))
    return 1 - torch.minimum(*shares).sum(1)


DISTANCES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"cosine": _cosine, "mae": _mae, "mse": _mse, "histogram": _histogram}
)
"""How far two gradients ``[B, P]`` are apart, ``[B]``, by name.

``cosine``: 1 - cosine similarity, in [0, 2]. ``mae``, ``mse``: mean absolute and mean squared difference.
``histogram``: 1 - the intersection ``Σ_i min(|a_i| / Σ|a|, |b_i| / Σ|b|)`` of their magnitudes as histograms over the
pixels (Swain and Ballard, "Color indexing", 1991), in [0, 1]. The paper takes the two similarities with a minus sign,
which differs by a constant.
"""
