"""Group-CAM: groups of channels weighted by what the score gains from a blurred image made sharp behind them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from saliency.blur import blur
from saliency.lean import forward
from saliency.maps import fuse, normalize
from saliency.masking import score_masked
from saliency.picture import picture_of
from saliency.registry import Cost, Evidence, Method, Problem, fusion, register
from saliency.targets import Targets

GROUPS = 32
KEPT = 0.3
"""Share of a group's cells, the strongest, that its mask keeps."""
RADIUS, SIGMA = 25, 50.0
"""Of the Gaussian that blurs, in pixels."""


@register(
    "group-cam",
    paper="Zhang et al., Group-CAM, 2021, equations 2 to 7",
    cost=Cost.MANY,
    passes="up to 34 forwards, 1 head backward",
)
@dataclass(frozen=True)
class GroupCAM(Method):
    """Over 32 groups l of channels ``ReLU(Σ_l α_l M_l)``, ``M_l = n(θ(ReLU(Σ_k∈l w_k A^k)))`` with Grad-CAM's w.

    ``α_l = y(x ⊙ up M_l + blur(x) ⊙ (1 - up M_l)) - y(blur(x))``; θ sets all but the strongest 30 % of cells to zero,
    n is min-max normalisation, up bilinear upsampling. y is the target's score, a logit for a class, where the authors
    take the probability.
    """

    fusion: str = fusion()

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        run = forward(problem.model, problem.inputs, problem.layers)
        targets = problem.targets.resolve(run.outputs)
        _, pictures = picture_of(problem.inputs)
        blurred = blur(pictures, SIGMA, RADIUS)
        maps = []
        for activation, gradient in zip(run.activations, run.gradients(targets.score), strict=True):
            masks = _masks(activation.float(), gradient.float())
            gains = _gains(problem, targets, masks, blurred)
            maps.append(torch.einsum("bkg,bkghw->bkhw", gains, masks))
        return Evidence(fuse(maps, self.fusion, clip=self.clip), run.outputs.detach(), targets, run=run)


def _masks(activation: Tensor, gradient: Tensor) -> Tensor:
    """``M_l`` as ``[B, K, G, h, w]``, of A ``[B, C, h, w]`` and its gradient ``[B, K, C, h, w]``."""
    parts = (gradient.mean((-2, -1), keepdim=True) * activation[:, None]).tensor_split(GROUPS, 2)
    groups = torch.stack([part.sum(2) for part in parts if part.shape[2]], 2).relu()
    threshold = groups.flatten(-2).quantile(1 - KEPT, -1)[..., None, None]
    return normalize(groups.masked_fill(groups <= threshold, 0.0))


def _gains(problem: Problem, targets: Targets, masks: Tensor, blurred: Tensor) -> Tensor:
    """``α`` as ``[B, K, G]``: each target's own masks' scores, less that of the blurred image."""
    batch = len(masks)
    flat = masks.amax((-2, -1)) == masks.amin((-2, -1))
    images, owners, groups = (~flat).nonzero(as_tuple=True)
    everyone = torch.arange(batch, device=masks.device)
    nothing = masks.new_zeros(batch, *masks.shape[-2:])
    scores = score_masked(
        problem,
        targets,
        torch.cat([nothing, masks[images, owners, groups]]),
        torch.cat([everyone, images]),
        blend=lambda pictures, rows, own: pictures * rows + blurred[own] * (1 - rows),
    )
    without, behind = scores[:batch], scores[batch:]
    gains = masks.new_zeros(flat.shape)
    gains[images, owners, groups] = behind.gather(1, owners[:, None])[:, 0] - without[images, owners]
    return gains
