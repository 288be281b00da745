"""Class activation maps weighted by gradients.

Notation: A is a layer's activation ``[B, C, h, w]`` of Z = hw cells; g is its gradient ``∂y/∂A`` for each of K targets,
``[B, K, C, h, w]``; k counts channels, ij cells.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from saliency.capture import Pass
from saliency.lean import forward
from saliency.maps import fuse
from saliency.registry import Cost, Evidence, Method, Problem, fusion, register
from saliency.targets import Targets


@dataclass(frozen=True)
class GradientCAM(Method):
    """A map made of a layer's activation and gradient: one forward, one backward through the head."""

    fusion: str = fusion()

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        run = forward(problem.model, problem.inputs, problem.layers)
        targets = problem.targets.resolve(run.outputs)
        gradients = self.gradients(run, targets)
        maps = [self.map(a.float(), g.float()) for a, g in zip(run.activations, gradients, strict=True)]
        return Evidence(fuse(maps, self.fusion, clip=self.clip), run.outputs.detach(), targets, run=run)

    def gradients(self, run: Pass, targets: Targets) -> tuple[Tensor, ...]:
        """What stands for g, ``[B, K, C, h, w]`` for each layer."""
        return run.gradients(targets.score)

    @abstractmethod
    def map(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Makes maps ``[B, K, h, w]`` from A ``[B, C, h, w]`` and g ``[B, K, C, h, w]``, both float32."""


def weighted(weights: Tensor, activation: Tensor) -> Tensor:
    """``Σ_k w_k A^k``: maps ``[B, K, h, w]`` from weights ``[B, K, C]`` and A ``[B, C, h, w]``."""
    return torch.einsum("bkc,bchw->bkhw", weights, activation)


@register(
    "grad-cam",
    paper="Selvaraju et al., Grad-CAM, ICCV 2017, equations 1 and 2",
    cost=Cost.FORWARD,
    passes="1 forward, 1 head backward",
)
@dataclass(frozen=True)
class GradCAM(GradientCAM):
    """Channels weighted by their mean gradient: ``ReLU(Σ_k w_k A^k)``, ``w_k = mean_ij g^k_ij``."""

    def map(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Sums the weighted channels."""
        return weighted(gradient.mean((-2, -1)), activation)


@register(
    "xgrad-cam",
    paper="Fu et al., Axiom-based Grad-CAM, BMVC 2020, equation 8",
    cost=Cost.FORWARD,
    passes="1 forward, 1 head backward",
)
@dataclass(frozen=True)
class XGradCAM(GradientCAM):
    """Channels weighted by their gradient where they are active: ``w_k = Σ_ij g^k_ij A^k_ij / Σ_ij A^k_ij``.

    A channel whose activation sums to zero has no weight.
    """

    def map(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Sums the weighted channels."""
        total = activation.sum((-2, -1))[:, None]
        weights = torch.einsum("bkchw,bchw->bkc", gradient, activation) / total
        return weighted(weights.where(total != 0, 0.0), activation)


@register(
    "hires-cam",
    paper="Draelos and Carin, Use HiResCAM instead of Grad-CAM, 2020",
    cost=Cost.FORWARD,
    passes="1 forward, 1 head backward",
)
@dataclass(frozen=True)
class HiResCAM(GradientCAM):
    """Gradient times activation in each cell: ``ReLU(Σ_k g^k ⊙ A^k)``.

    If all that follows the layer is one linear layer, the map before the ReLU sums to the score less its bias.
    """

    def map(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Sums the products."""
        return torch.einsum("bkchw,bchw->bkhw", gradient, activation)


@register(
    "grad-cam-elementwise",
    paper="Gildenblat et al., pytorch-grad-cam, 2021 (GradCAMElementWise)",
    cost=Cost.FORWARD,
    passes="1 forward, 1 head backward",
    aliases=("elementwise-grad-cam",),
)
@dataclass(frozen=True)
class GradCAMElementwise(GradientCAM):
    """Gradient times activation in each cell, of which only what speaks for the target: ``Σ_k ReLU(g^k ⊙ A^k)``."""

    def map(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Sums the positive products."""
        return (gradient * activation[:, None]).relu().sum(2)


@register(
    "layer-cam",
    paper="Jiang et al., LayerCAM, IEEE TIP 2021, equations 5 and 6",
    cost=Cost.FORWARD,
    passes="1 forward, 1 head backward",
)
@dataclass(frozen=True)
class LayerCAM(GradientCAM):
    """Cells weighted by their own positive gradient: ``ReLU(Σ_k ReLU(g^k) ⊙ A^k)``; works in shallow layers too."""

    def map(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Sums the weighted cells."""
        return torch.einsum("bkchw,bchw->bkhw", gradient.relu(), activation)
