"""Gradients of the score with respect to the image's own pixels; x is the image as the model takes it, c a colour."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from saliency.capture import Inputs, call, scores_of
from saliency.lean import often
from saliency.noise import noisy_copies
from saliency.picture import GRAPH_CHUNK, forward_from_picture, picture_of, with_picture
from saliency.registry import Cost, Evidence, Method, Problem, Reads, option, register
from saliency.targets import Targets


@dataclass(frozen=True)
class PixelMethod(Method):
    """A method whose map has the image's own resolution and which reads no layer."""

    reads = Reads.MODEL
    needs = "nothing more"


@register(
    "input-gradient",
    paper="Simonyan et al., Deep inside convolutional networks, 2013, section 3.1",
    cost=Cost.FORWARD,
    passes="1 forward, 1 backward",
    aliases=("saliency", "vanilla-gradient"),
)
@dataclass(frozen=True)
class InputGradient(PixelMethod):
    """How much the score changes with each pixel, whichever way: ``max_c |∂y/∂x_c|``, never negative."""

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        run = forward_from_picture(problem.model, problem.inputs)
        targets = problem.targets.resolve(run.outputs)
        return Evidence(magnitude(run.gradients(targets.score)), run.outputs.detach(), targets)


@register(
    "smooth-grad",
    paper="Smilkov et al., SmoothGrad, 2017",
    cost=Cost.MANY,
    passes="1 + samples forwards, samples backwards",
)
@dataclass(frozen=True)
class SmoothGrad(PixelMethod):
    """The gradient averaged over noisy copies of the image: ``max_c |mean_i ∂y/∂x_c (x + ε_i)|``, ε_i ~ N(0, σ²)."""

    samples: int = option(25, "noisy copies of each image", minimum=1, maximum=1000)
    noise: float = option(
        0.15, "standard deviation of the noise, as a share of the image's range", minimum=0.0, maximum=1.0
    )
    seed: int = option(0, "seed of the noise", minimum=0)

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        outputs = scores_of(call(problem.model, problem.inputs))
        targets = problem.targets.resolve(outputs)
        copies = noisy_copies(problem.inputs, self.samples, self.noise, self.seed, chunk=GRAPH_CHUNK)
        shares = ((inputs, owners, torch.full((len(owners),), 1 / self.samples)) for inputs, owners in copies)
        return Evidence(magnitude(_weighted_gradients(problem, targets, shares)), outputs, targets)


@register(
    "integrated-gradients",
    paper="Sundararajan et al., Axiomatic attribution for deep networks, ICML 2017, equation 1",
    cost=Cost.MANY,
    passes="1 + steps forwards, steps backwards",
    aliases=("ig",),
)
@dataclass(frozen=True)
class IntegratedGradients(PixelMethod):
    """What each pixel adds on the way from zero to the image: ``Σ_c x_c ∫ ∂y/∂x_c (α x) dα``, α from 0 to 1; signed.

    Sums to ``y(x) - y(0)`` up to the quadrature, which is Gauss and Legendre's. Zero is that of the model's own input:
    the mean colour if images are normalised by mean and deviation, black if they are not.
    """

    clip = False

    steps: int = option(32, "points of the quadrature", minimum=1, maximum=1000)

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        outputs = scores_of(call(problem.model, problem.inputs))
        targets = problem.targets.resolve(outputs)
        _, pictures = picture_of(problem.inputs)
        mean = _weighted_gradients(problem, targets, _dimmed_copies(problem.inputs, self.steps))
        return Evidence((pictures[:, None] * mean).sum(2), outputs, targets)


def magnitude(gradients: Tensor) -> Tensor:
    """``max_c |g_c|``: maps ``[B, K, H, W]`` of gradients ``[B, K, C, H, W]``."""
    return gradients.abs().amax(2)


def _dimmed_copies(inputs: Inputs, steps: int) -> Iterator[tuple[Inputs, Tensor, Tensor]]:
    """The batch at each point of the path from zero, with its image and the weight of the point."""
    name, pictures = picture_of(inputs)
    images = torch.arange(len(pictures), device=pictures.device)
    turns = max(1, GRAPH_CHUNK // len(pictures))
    for points, weights in zip(*(torch.split(values, turns) for values in gauss_legendre(steps)), strict=True):
        dimmed = points.to(pictures)[:, None, None, None, None] * pictures
        owners = images.repeat(len(points))
        yield with_picture(inputs, name, dimmed.flatten(0, 1), owners), owners, weights.repeat_interleave(len(pictures))


def gauss_legendre(count: int) -> tuple[Tensor, Tensor]:
    """Points in [0, 1] and weights, float64 ``[count]``, exact for polynomials of degree ``2 count - 1``.

    Golub and Welsch: the eigenvalues of the recurrence's matrix, and the squares of the eigenvectors' first elements.
    """
    k = torch.arange(1, count, dtype=torch.float64)
    beside = k / (4 * k**2 - 1).sqrt()
    points, vectors = torch.linalg.eigh(torch.diag(beside, 1) + torch.diag(beside, -1))
    return (points + 1) / 2, vectors[0] ** 2


def _weighted_gradients(problem: Problem, targets: Targets, copies: Iterable[tuple[Inputs, Tensor, Tensor]]) -> Tensor:
    """The sum ``[B, K, C, H, W]`` of weights times gradients over copies of the batch, a few at a time.

    Args:
        problem: whose model to use.
        targets: resolved.
        copies: inputs of R rows, to which image each belongs in turns ``0 .. B-1``, and its weight, both ``[R]``.
    """
    total = torch.zeros(())
    model = often(problem.model, problem.inputs)
    for inputs, owners, weights in copies:
        run = forward_from_picture(model, inputs)
        gradients = run.gradients(partial(targets.score, images=owners))
        parts = gradients * weights.to(gradients)[:, None, None, None, None]
        total = total + parts.reshape(-1, len(targets.rows), *parts.shape[1:]).sum(0)
    return total
