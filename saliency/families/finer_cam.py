"""Finer-CAM: what tells a class from those most like it."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from saliency.capture import Pass
from saliency.families.gradient_cam import GradCAM
from saliency.registry import Cost, UnsuitableError, register
from saliency.targets import Class, Contrast, Counter, Target, Targets, classes_of

RIVALS = 3
"""Classes that the target is told from."""


@register(
    "finer-cam", paper="Zhang et al., Finer-CAM, CVPR 2025", cost=Cost.FORWARD, passes="1 forward, 1 head backward"
)
@dataclass(frozen=True)
class FinerCAM(GradCAM):
    """Grad-CAM of a class c against the three classes d whose scores are nearest to its own.

    The target is ``Σ_d p_d (y_c - y_d) / Σ_d p_d``, the paper's with α = 1. The probabilities p_d are those of the
    undisturbed image and constant, so that they are not explained too.
    """

    told_by_running: ClassVar[bool] = True

    def gradients(self, run: Pass, targets: Targets) -> tuple[Tensor, ...]:
        """Gradients of the targets against their rivals."""
        outputs = run.outputs.detach().float()
        if outputs.dim() != 2:
            raise UnsuitableError(
                f"{self.id} does not work on this model: it compares class scores, but the model gives"
                f" {list(outputs.shape[1:])} per image"
            )
        rows = [[_finer(target, output) for target in row] for row, output in zip(targets.rows, outputs, strict=True)]
        return run.gradients(Targets(rows, single=targets.single).score)


def _finer(target: Target, output: Tensor) -> Target:
    """A target against its rivals in one sample's scores ``[N]``."""
    if isinstance(target, Counter):
        return Counter(_finer(target.target, output))
    call = Class(target) if isinstance(target, int) else target
    nearest = (output - call(output)).abs().argsort(stable=True).tolist()
    own = classes_of(target) or nearest[:1]
    rivals = [index for index in nearest if index not in own][:RIVALS]
    if not rivals:
        return target
    return Contrast(target, tuple(rivals), tuple(output[rivals].softmax(0).tolist()))
