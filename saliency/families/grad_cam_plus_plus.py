"""Grad-CAM++ and what is built on its weights."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from saliency.families.gradient_cam import GradientCAM, weighted
from saliency.lean import forward
from saliency.maps import fuse
from saliency.noise import noisy_copies
from saliency.picture import GRAPH_CHUNK
from saliency.registry import Cost, Evidence, Method, Problem, Reads, fusion, option, register


@register(
    "grad-cam++",
    paper="Chattopadhay et al., Grad-CAM++, WACV 2018, equations 7 and 19",
    cost=Cost.FORWARD,
    passes="1 forward, 1 head backward",
    aliases=("gradcampp", "grad-cam-plus-plus"),
)
@dataclass(frozen=True)
class GradCAMPlusPlus(GradientCAM):
    """Positive gradients weighted so that each occurrence of an object counts alike.

    ``w_k = Σ_ij α^k_ij ReLU(g^k_ij)``, ``α = g² / (2 g² + S_k g³)``, ``S_k = Σ_ab A^k_ab``, and 0 where g is.

    The paper explains ``Y = exp(y)``, whose second and third derivatives are ``Y g²`` and ``Y g³`` if the head is
    piecewise linear, so that Y cancels in α and scales the whole map alone. Of α only cells with g > 0 matter, where it
    is ``1 / (2 + S_k g)``. A is supposed to be rectified; a negative S_k, for which α has poles, counts as 0.
    """

    def map(self, activation: Tensor, gradient: Tensor) -> Tensor:
        """Sums the weighted channels."""
        positive = gradient.relu()
        return weighted((positive / (2 + _total(activation) * positive)).sum((-2, -1)), activation)


@register(
    "smooth-grad-cam++",
    paper="Omeiza et al., Smooth Grad-CAM++, IntelliSys 2019, equations 7 to 9",
    cost=Cost.FEW,
    passes="1 + samples forwards, samples head backwards",
    aliases=("smoothgradcampp", "smooth-grad-cam-plus-plus"),
)
@dataclass(frozen=True)
class SmoothGradCAMPlusPlus(Method):
    """Grad-CAM++ with g, g² and g³ averaged over noisy copies of the image, before α and w are made of them.

    ``w_k = Σ_ij α^k_ij ReLU(⟨g⟩)``, ``α = ⟨g²⟩ / (2 ⟨g²⟩ + S_k ⟨g³⟩)``; A and S_k are those of the image without noise.
    The paper prints ⟨g⟩ in the numerator of α, which does not agree with Grad-CAM++ when there is no noise. As there,
    negative S_k and ⟨g³⟩, for which α has poles, count as 0.
    """

    samples: int = option(8, "noisy copies of each image", minimum=1, maximum=1000)
    noise: float = option(
        0.1, "standard deviation of the noise, as a share of the image's range", minimum=0.0, maximum=1.0
    )
    seed: int = option(0, "seed of the noise", minimum=0)
    fusion: str = fusion()

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        run = forward(problem.model, problem.inputs, problem.layers, graph=False)
        targets = problem.targets.resolve(run.outputs)
        batch = len(run.outputs)
        sums: list[Tensor] = []
        for inputs, owners in noisy_copies(problem.inputs, self.samples, self.noise, self.seed, chunk=GRAPH_CHUNK):
            gradients = forward(problem.model, inputs, problem.layers).gradients(partial(targets.score, images=owners))
            powers = [torch.stack([g.float() ** p for p in (1, 2, 3)]) for g in gradients]
            added = [p.reshape(3, -1, batch, *p.shape[2:]).sum(1) for p in powers]
            sums = [old + new for old, new in zip(sums, added, strict=True)] if sums else added
        maps = [_smooth_map(a.float(), s / self.samples) for a, s in zip(run.activations, sums, strict=True)]
        return Evidence(fuse(maps, self.fusion, clip=self.clip), run.outputs, targets)


@register(
    "refine-cam",
    paper="RefineCAM, arXiv 2605.14641, 2026",
    cost=Cost.FEW,
    passes="1 forward, 1 backward from the first layer",
)
@dataclass(frozen=True)
class RefineCAM(GradCAMPlusPlus):
    """Grad-CAM++ of every resolution, multiplied: ``Π_l n(ReLU(Σ_k w_k A^k))`` over layers l, n the min-max.

    Fine layers say where the edges are, deep ones to what they belong. Without named layers it reads the last layer of
    each resolution, which is our reading: the authors' code leaves the choice to the caller.
    """

    reads = Reads.STAGES

    fusion: str = fusion("product")


def _smooth_map(activation: Tensor, means: Tensor) -> Tensor:
    """Maps ``[B, K, h, w]`` from A ``[B, C, h, w]`` and the means of g, g² and g³, ``[3, B, K, C, h, w]``."""
    first, second, third = means
    alpha = second / (2 * second + _total(activation) * third.relu())
    return weighted((alpha.where(second > 0, 0.0) * first.relu()).sum((-2, -1)), activation)


def _total(activation: Tensor) -> Tensor:
    """``S_k`` as ``[B, 1, C, 1, 1]``, negative ones as 0."""
    return activation.sum((-2, -1), keepdim=True)[:, None].relu()
