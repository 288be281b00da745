"""Maps made of a layer's activation alone, the same for every target."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from saliency.lean import forward
from saliency.maps import fuse
from saliency.registry import Cost, Evidence, Method, Problem, fusion, register


@dataclass(frozen=True)
class ActivationCAM(Method):
    """A map made of a layer's activation: one forward, no gradients."""

    class_agnostic = True
    fusion: str = fusion()

    def explain(self, problem: Problem) -> Evidence:
        """Finds what stands out in each image, and gives it for each target."""
        run = forward(problem.model, problem.inputs, problem.layers, graph=False)
        targets = problem.targets.resolve(run.outputs)
        maps = [self.map(activation.float())[:, None] for activation in run.activations]
        fused = fuse(maps, self.fusion, clip=self.clip)
        return Evidence(fused.expand(-1, targets.count, -1, -1), run.outputs, targets)

    @abstractmethod
    def map(self, activation: Tensor) -> Tensor:
        """Makes maps ``[B, h, w]`` from an activation ``[B, C, h, w]`` in float32."""


@register(
    "fem", paper="Fuad et al., Features understanding in 3D CNNs, IPTA 2020", cost=Cost.FORWARD, passes="1 forward"
)
@dataclass(frozen=True)
class FEM(ActivationCAM):
    """Channels weighted by how often they are rarely strong: ``ReLU(Σ_k w_k A^k)``.

    w_k is the share of cells in which ``A^k > mean + 2 std`` over the channel's own cells.
    """

    def map(self, activation: Tensor) -> Tensor:
        """Sums the weighted channels."""
        std, mean = torch.std_mean(activation, (-2, -1), correction=0, keepdim=True)
        weights = (activation > mean + 2 * std).float().mean((-2, -1))
        return torch.einsum("bc,bchw->bhw", weights, activation)
