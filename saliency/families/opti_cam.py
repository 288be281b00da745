"""Opti-CAM: channels weighted so that the score of the image behind the map is as high as can be.

Notation: A is the activation ``[C, h, w]`` of the layers, x the image, y(x) the target's score (a class's logit), up is
bilinear upsampling to the image's size, n the normalisation of the mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from saliency.capture import call, scores_of
from saliency.families.gradient_cam import weighted
from saliency.lean import forward, often
from saliency.maps import upsample
from saliency.masking import fill, filling
from saliency.picture import GRAPH_CHUNK, differentiable, picture_of, with_picture
from saliency.progress import Steps
from saliency.registry import Cost, Evidence, Method, Problem, budget, option, register
from saliency.targets import Targets

STILL = 1e-10
"""A change of the objective below which an image's search has converged."""


def _range(maps: Tensor, floor: Tensor) -> Tensor:
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / torch.maximum(high - low, floor)


def _max(maps: Tensor, floor: Tensor) -> Tensor:
    return maps.clamp_min(0.0) / torch.maximum(maps.amax((-2, -1), keepdim=True), floor)


def _sigmoid(maps: Tensor, _floor: Tensor) -> Tensor:
    return maps.sigmoid()


NORMALIZATIONS = {"range": _range, "max": _max, "sigmoid": _sigmoid}
"""How maps ``[..., H, W]`` become masks in [0, 1]. Differences below the floor ``[..., 1, 1]`` may be rounding and are
not made larger: the mean over the channels of a layer norm, with which a search begins, can be nothing else."""


@register(
    "opti-cam",
    paper="Zhang et al., Opti-CAM, CVIU 2024",
    cost=Cost.MANY,
    passes="2 + steps forwards, 1 + steps backwards; twice that if the objective is iomask or iodiff",
)
@dataclass(frozen=True)
class OptiCAM(Method):
    """The mask ``m = n(up(Σ_k softmax(u)_k A^k))`` for which ``F(m)`` is largest, found by Adam over u from uniform.

    F is ``y(x ⊙ m)`` for ``mask``, ``-|y(x) - y(x ⊙ m)|`` for ``diff``; ``iomask`` and ``iodiff`` take off the same for
    ``1 - m``. n is min-max normalisation (``range``), division by the maximum (``max``) or the sigmoid. The search ends
    when F changes by less than 1e-10, for each image and target on its own.

    The map is n of the best weights met, without up: it is the mask, not the weighted sum, whose scale means nothing.
    Several layers, which the paper does not combine, share one softmax over all their channels; each is divided by its
    largest magnitude and brought to the largest grid.

    The authors' code returns the last weights instead of the best, stops if the batch's sum of F fell, for which it
    looks ten times per run, and masks pixels before mean and deviation are applied, as ``fill`` does by default.

    Rounding grows along the way: the same image in float32 in a batch of another size, where kernels round otherwise,
    may end at other weights with about the same F.
    """

    steps: int = option(100, "most steps of the search", minimum=1, maximum=1000)
    learning_rate: float = option(0.1, "step size of Adam", minimum=0.001, maximum=10.0)
    objective: str = option("mask", "what is maximised", choices=("mask", "diff", "iomask", "iodiff"))
    normalization: str = option("range", "how the mask is brought to [0, 1]", choices=tuple(NORMALIZATIONS))
    fill: str = fill()
    budget: float = budget()

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        steps = Steps(self.steps, self.budget, problem.watcher)
        run = forward(problem.model, problem.inputs, problem.layers, graph=False)
        targets = problem.targets.resolve(run.outputs)
        view = _View(problem, targets, joined(run.activations), run.outputs, self)
        shape = (len(targets.rows), targets.count)
        rows = torch.arange(shape[0] * shape[1], device=run.outputs.device)  # those that still move
        u = view.activation.new_zeros(len(rows), view.activation.shape[1])
        adam = _Adam(u, self.learning_rate)
        best_u, best = u.clone(), u.new_full(rows.shape, -torch.inf)
        last, done = -best, torch.zeros_like(rows)

        def maps() -> Tensor:
            return view.maps(best_u.view(*shape, -1)).where(best.isfinite().view(*shape, 1, 1), torch.nan)

        for step in steps:
            values, gradients = view.values(u[rows], rows)
            better = (values > best[rows]) & values.isfinite()
            best[rows[better]], best_u[rows[better]] = values[better], u[rows[better]]
            done[rows] = step
            steps.report(step, maps, best.clone().view(shape).float())
            moving = (values - last[rows]).abs() >= view.still  # not if they are no numbers
            last[rows] = values
            rows, gradients = rows[moving], gradients[moving]
            if not len(rows):
                break
            u[rows] += adam.steps(rows, gradients)
        cut_short = torch.zeros_like(done, dtype=torch.bool)
        cut_short[rows] = steps.exhausted
        return Evidence(maps(), run.outputs, targets, done.view(shape), cut_short.view(shape))


def joined(activations: Sequence[Tensor]) -> Tensor:
    """The channels of all layers, ``[B, C, h, w]`` in float32 or finer; a single layer's stay as they are."""
    precise = [a.to(torch.promote_types(a.dtype, torch.float32)) for a in activations]
    if len(precise) > 1:
        size = max((a.shape[-2:] for a in precise), key=lambda shape: shape[0] * shape[1])
        peaks = [a.abs().amax((1, 2, 3), keepdim=True) for a in precise]
        precise = [upsample(a / torch.where(p > 0, p, 1.0), size) for a, p in zip(precise, peaks, strict=True)]
    return torch.cat(precise, 1)


class _View:
    """Images seen through masks made of weights; row r is target ``r % K`` of image ``r // K``.

    Attributes:
        activation: ``[B, C, h, w]``.
        still: the change of F below which it stands still. In half precision scores that differ come out equal, so
            there no search stops before its last step.
    """

    def __init__(
        self, problem: Problem, targets: Targets, activation: Tensor, outputs: Tensor, options: OptiCAM
    ) -> None:
        self.activation, self._targets, self._options = activation, targets, options
        self._model, self._inputs = often(problem.model, problem.inputs), problem.inputs
        self.still = STILL if outputs.dtype in (torch.float32, torch.float64) else 0.0
        self._name, self._pictures = picture_of(problem.inputs)
        self._hidden = filling(problem, options.fill).to(self._pictures)
        self._clean = targets.score(outputs).flatten()
        self._normalize = NORMALIZATIONS[options.normalization]
        peak = activation.abs().amax((1, 2, 3)).clamp_min(torch.finfo(activation.dtype).tiny)
        self._floor = (torch.finfo(activation.dtype).eps ** 0.5 * peak)[:, None, None]

    def maps(self, u: Tensor) -> Tensor:
        """The maps ``[B, K, h, w]``, normalised, of weights ``[B, K, C]``."""
        sums, floor = weighted(u.softmax(2), self.activation), self._floor[:, None]
        flat = sums.amax((-2, -1), keepdim=True) - sums.amin((-2, -1), keepdim=True) < floor
        return self._normalize(sums.masked_fill(flat, 0.0), floor)

    def values(self, u: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """F, ``[R]``, and its gradient ``[R, C]``, a few rows at a time, for each has a graph of the whole model.

        Raises:
            UnsuitableError: the scores do not depend on the images by differentiable operations.
        """
        chunks = [
            self._values(*chunk)
            for chunk in zip(torch.split(u, GRAPH_CHUNK), torch.split(rows, GRAPH_CHUNK), strict=True)
        ]
        values, gradients = zip(*chunks, strict=True)
        return torch.cat(values), torch.cat(gradients)

    def _values(self, u: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = u.detach().requires_grad_()
            owners = self._owners(rows)
            sums = torch.einsum("rc,rchw->rhw", leaf.softmax(1), self.activation[owners])
            # As maps.upsample, but in the precision of the sums.
            large = F.interpolate(sums[:, None], self._pictures.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
            masks = self._normalize(large, self._floor[owners])
            values = self._worth(masks, rows)
            if self._options.objective.startswith("io"):
                values = values - self._worth(1 - masks, rows)
            (gradient,) = torch.autograd.grad(differentiable(values).sum(), leaf)
        return values.detach(), gradient

    def _worth(self, masks: Tensor, rows: Tensor) -> Tensor:
        """``y(x ⊙ m)``, or how near it is to y(x), of masks ``[R, H, W]``."""
        owners = self._owners(rows)
        seen = torch.lerp(self._hidden, self._pictures[owners], masks[:, None].to(self._pictures.dtype))
        outputs = scores_of(call(self._model, with_picture(self._inputs, self._name, seen, owners)))
        scores = self._targets.score(outputs, owners).gather(1, (rows % self._targets.count)[:, None])[:, 0]
        distance = -(scores - self._clean[rows]).abs()
        return (distance if self._options.objective.endswith("diff") else scores).to(masks.dtype)

    def _owners(self, rows: Tensor) -> Tensor:
        return rows // self._targets.count


class _Adam:
    """Ascent by Adam (Kingma and Ba, ICLR 2015, algorithm 1) for rows of which some stop before others."""

    def __init__(self, parameters: Tensor, rate: float) -> None:
        """Begins with parameters ``[R, C]``."""
        self._first, self._second = torch.zeros_like(parameters), torch.zeros_like(parameters)
        self._rate, self._count = rate, 0

    def steps(self, rows: Tensor, gradients: Tensor) -> Tensor:
        """What to add to the parameters of these rows, ``[R', C]``; rows that were left out once stay out."""
        self._count += 1
        self._first[rows] = 0.9 * self._first[rows] + 0.1 * gradients
        self._second[rows] = 0.999 * self._second[rows] + 0.001 * gradients**2
        first = self._first[rows] / (1 - 0.9**self._count)
        second = self._second[rows] / (1 - 0.999**self._count)
        return self._rate * first / (second.sqrt() + 1e-8)
