"""Poly-CAM: fine maps of early layers, kept where later layers see the target."""

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from saliency.families.gradient_cam import weighted
from saliency.families.score_cam import channel_scores, channels, strongest
from saliency.lean import forward
from saliency.maps import upsample
from saliency.registry import Cost, Evidence, Method, Problem, Reads, option, register
from saliency.targets import Targets


@register(
    "poly-cam",
    paper="Englebert et al., Backward recursive class activation map refinement, 2022",
    cost=Cost.MANY,
    passes="1 + 2C forwards for each layer",
)
@dataclass(frozen=True)
class PolyCAM(Method):
    """A map per layer, multiplied from the coarsest to the finest: ``P_l = L(S_l) ⊙ up(P_l+1)``.

    ``S_l = ReLU(Σ_k w_k A^k)``, and L(S) divides S by itself resized to the coarser grid and back, so that each layer
    only tells places apart within a cell of the one after it. With ``M_k = n(up A^k)``, the objective is

    * ``plus``: ``w_k = y(x ⊙ M_k)``, what channel k does alone,
    * ``minus``: ``w_k = ReLU(y(x) - y(x ⊙ (1 - M_k)))``, what is lost without it,
    * ``both``: ``w_k = ReLU(y(x ⊙ M_k) + y(x) - y(x ⊙ (1 - M_k)))``.

    y is the target's score, a logit for a class, where the authors take the probability; M_k is normalised over its
    whole range, where their code cuts 0.1 % at both ends. Without named layers it reads the last of each resolution.
    """

    reads = Reads.STAGES

    objective: str = option("both", "what weighs a channel", choices=("both", "plus", "minus"))
    max_channels: int = channels()

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        run = forward(problem.model, problem.inputs, problem.layers, graph=False)
        targets = problem.targets.resolve(run.outputs)
        plain = targets.score(run.outputs).float()[:, None]
        maps = []
        for activation in sorted(run.activations, key=lambda a: a.shape[-2] * a.shape[-1]):
            kept = strongest(activation.float(), self.max_channels)
            weights = self._weights(problem, targets, kept, plain)
            maps.append(weighted(weights.transpose(1, 2), kept).relu())
        return Evidence(reduce(_sharpened, maps), run.outputs, targets)

    def _weights(self, problem: Problem, targets: Targets, activation: Tensor, plain: Tensor) -> Tensor:
        """``[B, C, K]``, of which ``plain`` ``[B, 1, K]`` are the scores without a mask."""
        gain: Tensor | float = 0.0
        loss: Tensor | float = 0.0
        if self.objective != "minus":
            gain = channel_scores(problem, targets, activation, lambda masks: masks)
        if self.objective != "plus":
            loss = plain - channel_scores(problem, targets, activation, lambda masks: 1 - masks)
        weights = torch.as_tensor(gain + loss)
        return weights if self.objective == "plus" else weights.relu()


def _sharpened(coarse: Tensor, fine: Tensor) -> Tensor:
    """A coarse map ``[B, K, h, w]`` with the detail of a fine one ``[B, K, H, W]``."""
    around = upsample(upsample(fine, coarse.shape[-2:]), fine.shape[-2:])
    detail = (fine / around).where(around != 0, 0.0)
    return detail * upsample(coarse, fine.shape[-2:])
