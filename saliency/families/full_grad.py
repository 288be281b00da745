"""FullGrad: the gradient of the image and of all biases, which together are the whole score."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from saliency.families.input_gradient import PixelMethod
from saliency.hooks import watch
from saliency.maps import normalize, upsample
from saliency.picture import forward_from_picture
from saliency.registry import Cost, Evidence, Problem, UnsuitableError, register


@register(
    "full-grad",
    paper="Srinivas and Fleuret, Full-Gradient Representation, NeurIPS 2019",
    cost=Cost.FEW,
    passes="1 forward, 1 backward",
)
@dataclass(frozen=True)
class FullGrad(PixelMethod):
    """Image times its gradient and each layer's bias times its: ``Σ_c ψ(x ⊙ ∂y/∂x) + Σ_l Σ_c ψ(b_l ⊙ ∂y/∂b_l)``.

    Biases b of all convolutions and batch norms (``β - γμ/√(σ² + ε)``) in each cell, and of linear layers where they
    have a place in the image. ψ takes absolute values, min-max normalises a layer as a whole and upsamples it. That is
    the authors' code; a channel at a time, as pytorch-grad-cam does it, b would cancel.

    For networks of these layers, ReLU and pooling the terms before ψ, of all layers, sum to the score.
    """

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        run = biased_forward(problem)
        targets = problem.targets.resolve(run.outputs)
        with torch.enable_grad():
            totals = targets.score(run.outputs).sum(0)
        if not totals.requires_grad:
            raise UnsuitableError(
                f"{self.id} does not work on this model: its scores do not depend on the image by differentiable"
                " operations; is part of its forward under no_grad?"
            )
        # One target at a time: the gradients of all layers are as large as all activations.
        rows = torch.eye(len(totals)).to(totals)
        maps = torch.stack([_map(run.terms(totals, row), run.picture) for row in rows], 1)
        return Evidence(maps, run.outputs.detach(), targets)


class Biased(NamedTuple):
    """The output of a layer with a bias.

    Attributes:
        output: of any shape with C channels.
        channels: the channels' dimension.
        bias: ``[C]``.
    """

    output: Tensor
    channels: int
    bias: Tensor

    def term(self, gradient: Tensor) -> Tensor:
        """``b ⊙ ∂y/∂b`` in each place, ``[B, C, ...]``, of the output's gradient."""
        return torch.einsum("bc...,c->bc...", gradient.movedim(self.channels, 1), self.bias.to(gradient))


@dataclass(frozen=True)
class BiasedPass:
    """One forward with a graph from the image on.

    Attributes:
        outputs: ``[B, N]``.
        picture: the images ``[B, 3, H, W]``, a leaf.
        biased: the outputs of all layers with biases.
    """

    outputs: Tensor
    picture: Tensor
    biased: tuple[Biased, ...]

    def terms(self, totals: Tensor, row: Tensor) -> list[Tensor]:
        """``x ⊙ ∂y/∂x`` and each ``b ⊙ ∂y/∂b``, ``[B, C, ...]`` in float32 or finer.

        Args:
            totals: sums of scores over the batch, ``[K]``.
            row: how much each of them counts, ``[K]``.
        """
        leaves = [self.picture, *(layer.output for layer in self.biased)]
        gradients = torch.autograd.grad(
            totals, leaves, row, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        of_picture, *of_layers = [g.to(torch.promote_types(g.dtype, torch.float32)) for g in gradients]
        of_biases = [layer.term(gradient) for layer, gradient in zip(self.biased, of_layers, strict=True)]
        return [self.picture.detach() * of_picture, *of_biases]


def biased_forward(problem: Problem) -> BiasedPass:
    """Runs the model once, with all its layers that have biases watched."""
    biased: list[Biased] = []

    def see(channels: int, bias: Tensor, output: Tensor) -> Tensor | None:
        if not output.requires_grad:
            return None  # the image does not reach it, so its bias has no place there
        biased.append(Biased(output, channels, bias))
        return output.clone()  # what follows in place must not change what was captured

    watchers = {
        module: partial(see, -1 if isinstance(module, nn.Linear) else 1, bias)
        for module in problem.model.modules()
        if (bias := _bias(module)) is not None
    }
    with watch(watchers):
        run = forward_from_picture(problem.model, problem.inputs)
    return BiasedPass(run.outputs, run.picture, tuple(biased))


def _bias(module: nn.Module) -> Tensor | None:
    """What a layer adds to a linear map of its input, ``[C]``; None if nothing."""
    if isinstance(module, _BatchNorm) and module.running_mean is not None and module.running_var is not None:
        scale = (module.running_var + module.eps).rsqrt()
        if module.weight is not None:
            scale = scale * module.weight
        shift = -module.running_mean * scale
        return (shift if module.bias is None else shift + module.bias).detach()
    if isinstance(module, _ConvNd | nn.Linear) and module.bias is not None:
        return module.bias.detach()
    return None


def _map(terms: list[Tensor], picture: Tensor) -> Tensor:
    """``[B, H, W]`` of terms ``[B, C, h, w]``; others have no place in the image."""
    parts = [
        upsample(normalize(term.abs().flatten(2)).reshape(term.shape).sum(1), picture.shape[-2:])
        for term in terms
        if term.dim() == 4
    ]
    return torch.stack(parts).sum(0)
