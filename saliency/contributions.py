"""How much each channel of a layer contributed to a score, whatever the method that made the map.

The channels' part of gradient times activation, ``c_k = Σ_ij g^k_ij A^k_ij`` with ``g = ∂y/∂A``: Grad-CAM's weights
times the channels' sums, cell by cell (Selvaraju et al., "Grad-CAM", IJCV 2020, name the channels with the largest and
the smallest weights; a weight alone does not say whether its channel was active).

Summed over the channels it is what the score changes by, to the first order, as the activation falls to zero. So
``Σ_k c_k = y - y(A = 0)`` exactly where the head is affine in A, as a linear layer on an average is, for which the rest
is its bias; and ``Σ_k c_k = y`` where it is piecewise linear without biases. For other heads it is an approximation.
"""

from collections.abc import Collection

import torch
from torch import Tensor

from saliency.lean import forward
from saliency.registry import Evidence, Problem


def contributions(problem: Problem, evidence: Evidence, names: Collection[str]) -> dict[str, Tensor]:
    """The contributions of channels to the targets' scores.

    Costs next to nothing where the method took these gradients itself, and else a head backward, with a forward before
    it if the method ran no graph.

    Args:
        problem: that was explained.
        evidence: what the method found.
        names: of layers; those that the method did not read are left out.

    Returns:
        float32 ``[B, K, C]`` by the layer's name.

    Raises:
        LayerError: a layer's output does not reach the scores.
    """
    layers = [layer for layer in problem.layers if layer.name in names]
    if not layers:
        return {}
    run = evidence.run or forward(problem.model, problem.inputs, layers)
    found = zip(run.layers, run.activations, run.gradients(evidence.targets.score), strict=True)
    return {
        layer.name: torch.einsum("bkchw,bchw->bkc", gradient.float(), activation.float())
        for layer, activation, gradient in found
        if layer in layers
    }
