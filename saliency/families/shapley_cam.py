"""Shapley-CAM: Grad-CAM to the second order."""

from dataclasses import dataclass

from torch import Tensor

from saliency.attention import watch_attention
from saliency.capture import Pass
from saliency.families.gradient_cam import GradCAM
from saliency.registry import Cost, Evidence, Problem, register
from saliency.targets import Targets


@register(
    "shapley-cam",
    paper="Cai, CAMs as Shapley value-based explainers, 2025 (arXiv 2501.06261)",
    cost=Cost.FEW,
    passes="1 forward, 2 head backwards",
)
@dataclass(frozen=True)
class ShapleyCAM(GradCAM):
    """Channels weighted by their Shapley value, to the second order of the head around the activation.

    ``w_k = mean_ij (g - ½ H A)^k_ij`` with the Hessian ``H = ∂²y/∂A²``. Where the head is piecewise linear, as with
    ReLU and pooling, H is 0 and the map is that of Grad-CAM.
    """

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        # Fused attention has no second derivative; computed by its definition it has.
        with watch_attention(lambda weights: weights):
            return super().explain(problem)

    def gradients(self, run: Pass, targets: Targets) -> tuple[Tensor, ...]:
        """Gradients less half the Hessian's product with the activation."""
        pairs = zip(run.gradients(targets.score), run.curvatures(targets.score), strict=True)
        return tuple(gradient.float() - curvature.float() / 2 for gradient, curvature in pairs)
