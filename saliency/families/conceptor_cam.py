"""Conceptor-CAM: what the evidence of another method has learnt to recognise in a layer, over channels and over cells.

Notation: A is a layer's activation as a matrix of C channels by Z cells; E is the evidence of a base method, the terms
that it adds up over channels to its map, of the same shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import torch
from torch import Tensor

from saliency.capture import Pass
from saliency.conceptor import conceptor, conjunction, disjunction, negation, span
from saliency.families.grad_cam_plus_plus import GradCAMPlusPlus
from saliency.families.gradient_cam import GradCAM, GradientCAM, HiResCAM, LayerCAM, XGradCAM
from saliency.families.score_cam import ScoreCAM
from saliency.lean import forward
from saliency.maps import fuse, normalize, upsample
from saliency.picture import picture_of, with_picture
from saliency.registry import Cost, Evidence, Method, Problem, UnsuitableError, fusion, option, register
from saliency.targets import Class, Counter, Target, Targets, classes_of

BASES: dict[str, GradientCAM | ScoreCAM] = {
    base.id: base for base in (GradCAM(), GradCAMPlusPlus(), HiResCAM(), LayerCAM(), ScoreCAM(), XGradCAM())
}
"""Methods that add up channels, by id."""
RIVALS = 3
"""Classes whose evidence is held against a target's own."""
ELEMENTS = 2**22
"""Entries of evidence whose conceptors are made at once; no matrix on the way has more."""


@register(
    "conceptor-cam",
    paper="Qian et al., Conceptor learning for CAM, 2022 (arXiv 2201.08636); reconstructed from its abstract",
    cost=Cost.FEW,
    passes="those of the base, twice with negative = remainder",
)
@dataclass(frozen=True)
class ConceptorCAM(Method):
    """How much of each cell's activation is of the kind that speaks for the target, and of no kind that does not.

    Of the paper only the abstract is to be had. From there: conceptors are learnt between channels and within channels,
    Boolean operations combine positive and pseudo-negative evidence, and it goes with any CAM. The rest is ours:

    * Positive evidence is ``E⁺ = ReLU(E)``, scaled to a mean square of 1. Its columns are the states of a conceptor
      between channels, its rows those of one between cells.
    * Each of the two is ``C⁺ ∧ ¬(C¹ ∨ C² ...)`` with conceptors of negative evidence in the same scale: ``opposite``,
      what the target weighs less than the mean, ``ReLU(w A - E)`` with the w for which ``w A`` is nearest to E;
      ``rivals``, E⁺ of each of the three other classes that score highest; ``background``, E⁺ faded out where the
      base's map is strong; ``remainder``, E⁺ of the image with the base's map taken out of it; or ``none``.
    * The map is ``share``, in each cell ``√(|b| |c|) / |a|`` with the cell's columns a of A, b of A passed through the
      conceptor between channels, and c of A passed through that between cells; so that strong and weak cells count
      alike. Or it is ``sum``, ``Σ_k Y^k`` with Y the positive evidence passed through both, which with a large aperture
      and no negative evidence is the base's map made of E⁺.

    Much of what ``share`` gains over the base's map in average drop and increase comes of dividing by ``|a|`` alone.
    A large aperture brings out what half precision has rounded off.
    """

    aperture: float = option(
        0.4, "aperture of the conceptors: the larger, the weaker the evidence that counts", minimum=0.01, maximum=100.0
    )
    base: str = option("grad-cam", "method whose evidence is learnt", choices=tuple(BASES))
    negative: str = option(
        "opposite", "the negative evidence", choices=("opposite", "rivals", "background", "remainder", "none")
    )
    objective: str = option("share", "what the map is made of", choices=("share", "sum"))
    fusion: str = fusion()

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        run = self._forward(problem)
        targets = problem.targets.resolve(run.outputs)
        evidence = self._evidence(problem, run, targets)
        negatives = self._negatives(problem, run, targets, evidence)
        maps = [self._map(*layer) for layer in zip(run.activations, evidence, negatives, strict=True)]
        return Evidence(fuse(maps, self.fusion, clip=self.clip), run.outputs.detach(), targets)

    def _forward(self, problem: Problem) -> Pass:
        graph = isinstance(BASES[self.base], GradientCAM)
        return forward(problem.model, problem.inputs, problem.layers, graph=graph)

    def _evidence(self, problem: Problem, run: Pass, targets: Targets) -> list[Tensor]:
        """E as ``[B, K, C, h, w]`` float32 for each layer."""
        base, activations = BASES[self.base], [activation.float() for activation in run.activations]
        if isinstance(base, GradientCAM):
            gradients = [gradient.float() for gradient in base.gradients(run, targets)]
            return [_by_channel(base, a, g) for a, g in zip(activations, gradients, strict=True)]
        weights = [base.weights(problem, targets, activation) for activation in activations]
        return [w[..., None, None] * a[:, None] for w, a in zip(weights, activations, strict=True)]

    def _negatives(self, problem: Problem, run: Pass, targets: Targets, evidence: list[Tensor]) -> list[list[Tensor]]:
        """For each layer some pieces of negative evidence, ``[B, K, C, h, w]``, of which what is below 0 is none."""
        match self.negative:
            case "opposite":
                return [[_below_mean(a.double(), e)] for a, e in zip(run.activations, evidence, strict=True)]
            case "rivals":
                found = self._evidence(problem, run, _rivals(targets, run.outputs.detach()))
                return [list(e.reshape(len(e), targets.count, -1, *e.shape[2:]).unbind(2)) for e in found]
            case "background":
                return [[e * (1 - normalize(e.sum(2).relu()))[:, :, None]] for e in evidence]
            case "remainder":
                return [[e] for e in self._remainder(problem, targets, evidence)]
            case _:
                return [[] for _ in evidence]

    def _remainder(self, problem: Problem, targets: Targets, evidence: list[Tensor]) -> list[Tensor]:
        """E of the images without what the base's own maps show, for each layer; one target at a time."""
        shown = normalize(fuse([e.sum(2) for e in evidence], self.fusion, clip=True).relu())
        name, pictures = picture_of(problem.inputs)
        hidden = 1 - upsample(shown, pictures.shape[-2:]).to(pictures.dtype)
        everyone = torch.arange(len(pictures), device=pictures.device)
        found = []
        for k in range(targets.count):
            inputs = with_picture(problem.inputs, name, pictures * hidden[:, k, None], everyone)
            rest = replace(problem, inputs=inputs)
            one = Targets([[row[k]] for row in targets.rows], single=True)
            found.append(self._evidence(rest, self._forward(rest), one))
        return [torch.cat(layer, 1) for layer in zip(*found, strict=True)]

    def _map(self, activation: Tensor, evidence: Tensor, negatives: list[Tensor]) -> Tensor:
        """The map ``[B, K, h, w]`` of A ``[B, C, h, w]`` and evidence ``[B, K, C, h, w]``."""
        batch, count, channels, rows, columns = evidence.shape
        owners = torch.arange(batch, device=evidence.device).repeat_interleave(count)
        states = activation.flatten(2)
        pieces = [piece.flatten(3).flatten(0, 1) for piece in (evidence, *negatives)]
        chunk = max(1, ELEMENTS // (channels * rows * columns))
        maps = [
            self._cells(states[owners[start : start + chunk]], *(piece[start : start + chunk] for piece in pieces))
            for start in range(0, len(owners), chunk)
        ]
        return torch.cat(maps).float().reshape(batch, count, rows, columns)

    def _cells(self, states: Tensor, evidence: Tensor, *negatives: Tensor) -> Tensor:
        """The map ``[R, Z]`` of R matrices A and as many of evidence, all ``[R, C, Z]``; NaN where they are not finite.

        In float64, as conceptors of a large aperture tell directions apart whose energies are far from each other.
        """
        given = torch.stack([states, evidence, *negatives]).double()
        finite = given.isfinite().all(-1).all(-1).all(0)
        states, *pieces = given.where(finite[:, None, None], 0.0)
        positive, *negative = (piece.relu() for piece in pieces)
        scale = positive.square().mean((1, 2), keepdim=True).sqrt()
        scale = scale.where(scale > 0, 1.0)
        own, others = positive / scale, [piece / scale for piece in negative]
        between_channels = _Knowledge(own, others, self.aperture)
        between_cells = _Knowledge(own.mT, [piece.mT for piece in others], self.aperture)
        if self.objective == "sum":
            cells = between_cells.of(between_channels.of(positive).mT).mT.sum(1)
        else:
            passed = between_channels.of(states).norm(dim=1) * between_cells.of(states.mT).norm(dim=2)
            norm = states.norm(dim=1)
            cells = (passed.sqrt() / norm).where(norm > 0, 0.0)
        return cells.where(finite[:, None], torch.nan)


class _Knowledge:
    """The conceptor ``C⁺ ∧ ¬(C¹ ∨ C² ...)`` of positive states and some kinds of negative ones, ``[R, d, n]`` each."""

    def __init__(self, positive: Tensor, negatives: Sequence[Tensor], aperture: float) -> None:
        self._basis = span(positive)
        known, *others = (conceptor(self._basis.mT @ states, aperture) for states in (positive, *negatives))
        self._conceptor = conjunction(known, negation(reduce(disjunction, others))) if others else known

    def of(self, states: Tensor) -> Tensor:
        """What it passes of states ``[R, d, m]``."""
        return self._basis @ (self._conceptor @ (self._basis.mT @ states))


def _by_channel(base: GradientCAM, activation: Tensor, gradient: Tensor) -> Tensor:
    """E of a base that adds up over channels: its maps of each channel by itself."""
    alone = base.map(activation.flatten(0, 1)[:, None], gradient.transpose(1, 2).flatten(0, 1)[:, :, None])
    return alone.reshape(*activation.shape[:2], *alone.shape[1:]).transpose(1, 2)


def _below_mean(activation: Tensor, evidence: Tensor) -> Tensor:
    """``w A - E`` with the w for which it is least, for A ``[B, C, h, w]`` in float64 and E ``[B, K, C, h, w]``."""
    activation = activation[:, None]
    own = (activation * evidence).sum((2, 3, 4), keepdim=True)
    energy = activation.square().sum((2, 3, 4), keepdim=True)
    return (own / energy).where(energy > 0, 0.0) * activation - evidence


def _rivals(targets: Targets, outputs: Tensor) -> Targets:
    """The classes other than each target's own that score highest in ``[B, N]``, as many for each of them in turn."""
    if outputs.dim() != 2 or outputs.shape[1] < 2:
        raise UnsuitableError(
            f"negative = rivals compares class scores, but the model gives {list(outputs.shape[1:])} per image; choose"
            " another negative"
        )
    rows = zip(targets.rows, outputs, strict=True)
    return Targets(
        [[rival for target in row for rival in _rivals_of(target, output)] for row, output in rows], single=False
    )


def _rivals_of(target: Target, output: Tensor) -> Sequence[Target]:
    if isinstance(target, Counter):
        return [Counter(rival) for rival in _rivals_of(target.target, output)]
    call = Class(target) if isinstance(target, int) else target
    own = (*classes_of(target), int((output - call(output)).abs().argmin()))[0]
    best = output.argsort(descending=True, stable=True).tolist()
    return [Class(index) for index in best if index != own][:RIVALS]
