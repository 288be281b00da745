"""Class activation maps weighted by gradients.

Notation: A is a layer's activation ``[B, C, h, w]``; g is its gradient ``∂y/∂A`` for each of K targets,
``[B, K, C, h, w]``.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from saliency.capture import forward
from saliency.maps import fuse
from saliency.registry import Cost, Evidence, Method, Problem, option, register


@dataclass(frozen=True)
class GradientCAM(Method):
    """A map made of a layer's activation and gradient: one forward, one backward through the head."""

    fusion: str = option("mean", "how maps of several layers become one", choices=("mean", "max", "product"))

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        run = forward(problem.model, problem.inputs, problem.layers)
        targets = problem.targets.resolve(run.outputs)
        gradients = run.gradients(targets.score)
        maps = [self.map(a.float(), g.float()) for a, g in zip(run.activations, gradients, strict=True)]
        return Evidence(fuse(maps, self.fusion, clip=self.clip), run.outputs.detach(), targets)

    @abstractmethod
    def map(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Makes maps ``[B, K, h, w]`` from A ``[B, C, h, w]`` and g ``[B, K, C, h, w]``, both float32."""


@register("grad-cam", paper="Selvaraju et al., Grad-CAM, ICCV 2017, equations 1 and 2", cost=Cost.FORWARD)
@dataclass(frozen=True)
class GradCAM(GradientCAM):
    """Channels weighted by their mean gradient: ``ReLU(Σ_k w_k A^k)``, ``w_k = mean_ij g^k_ij``."""

    def map(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Sums the weighted channels."""
        return torch.einsum("bkc,bchw->bkhw", gradient.mean((-2, -1)), activation)
