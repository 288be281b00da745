"""Channels weighted by the score of the image seen through them; no gradients.

Notation: A is a layer's activation ``[B, C, h, w]``, x the image as the model takes it, y the target's score, up is
bilinear upsampling to the image's size, n min-max normalisation to [0, 1].
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from saliency.families.gradient_cam import weighted
from saliency.lean import forward
from saliency.maps import fuse, normalize
from saliency.masking import score_masked
from saliency.picture import picture_of
from saliency.registry import Cost, Evidence, Method, Problem, fusion, option, register
from saliency.targets import Targets

Change = Callable[[Tensor], Tensor]
"""What is done to normalised masks ``[R, H, W]`` before they are laid on."""


def channels() -> Any:
    """Declares the option of all methods that score a layer's channels one by one; see :func:`strongest`."""
    return option(0, "channels scored, those of the largest norm; 0 is all, fewer is faster but approximate", minimum=0)


@dataclass(frozen=True)
class ChannelScoreCAM(Method):
    """``ReLU(Σ_k w_k A^k)``, ``w = softmax_k(s_k)``, s_k the mean score over a few versions of the mask of A^k."""

    max_channels: int = channels()
    fusion: str = fusion()

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        run = forward(problem.model, problem.inputs, problem.layers, graph=False)
        targets = problem.targets.resolve(run.outputs)
        strong = [strongest(activation.float(), self.max_channels) for activation in run.activations]
        maps = [weighted(self.weights(problem, targets, kept), kept) for kept in strong]
        return Evidence(fuse(maps, self.fusion, clip=self.clip), run.outputs, targets)

    def weights(self, problem: Problem, targets: Targets, activation: Tensor) -> Tensor:
        """``w`` as ``[B, K, C]``, for A ``[B, C, h, w]`` in float32."""
        _, pictures = picture_of(problem.inputs)
        changes = self.changes(pictures.shape[-2:], pictures.device)
        scores = torch.stack([channel_scores(problem, targets, activation, change) for change in changes]).mean(0)
        return scores.softmax(1).transpose(1, 2)

    @abstractmethod
    def changes(self, size: Sequence[int], device: torch.device) -> Iterator[Change]:
        """The versions of each mask, for images of a height and width."""


@register(
    "score-cam",
    paper="Wang et al., Score-CAM, CVPR Workshops 2020, definition 3",
    cost=Cost.MANY,
    passes="1 + C forwards",
)
@dataclass(frozen=True)
class ScoreCAM(ChannelScoreCAM):
    """Channels weighted by the score behind their own mask: ``ReLU(Σ_k w_k A^k)``, ``w = softmax_k(y(x ⊙ n(up A^k)))``.

    The paper takes the score of a baseline image off each, which cancels in the softmax. That is also how
    pytorch-grad-cam and torch-cam do it; the authors' code takes the probability for w and no softmax over channels.
    """

    def changes(self, size: Sequence[int], device: torch.device) -> Iterator[Change]:
        """The mask alone."""
        yield lambda masks: masks


@register("ss-cam", paper="Wang et al., SS-CAM, 2020", cost=Cost.MANY, passes="1 + C x samples forwards")
@dataclass(frozen=True)
class SSCAM(ChannelScoreCAM):
    """Score-CAM with noise on the masks: ``w = softmax_k(mean_i y(x ⊙ (n(up A^k) + ε_i)))``, ``ε_i ~ N(0, σ²)``.

    Each ε_i is the same for every channel and image, so that scores differ by the masks alone. The paper's N = 35 and
    σ = 2, twice the range of the mask, drown it.
    """

    samples: int = option(8, "noisy versions of each mask", minimum=1, maximum=1000)
    noise: float = option(
        0.25, "standard deviation of the noise, as a share of the mask's range", minimum=0.0, maximum=1.0
    )
    seed: int = option(0, "seed of the noise", minimum=0)

    def changes(self, size: Sequence[int], device: torch.device) -> Iterator[Change]:
        """The mask with each draw of noise."""
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.samples):
            draw = self.noise * torch.randn(*size, generator=generator).to(device)
            yield partial(torch.add, other=draw)


@register("is-cam", paper="Naidu et al., IS-CAM, 2020", cost=Cost.MANY, passes="1 + C x samples forwards")
@dataclass(frozen=True)
class ISCAM(ChannelScoreCAM):
    """Score-CAM along a path from black: ``w = softmax_k(mean_i y(i/N x ⊙ n(up A^k)))`` for i = 1 to N.

    torch-cam lets the factors i/N pile up to (N + 1)/2, so that most of its images are brighter than the image is.
    """

    samples: int = option(10, "steps of the path, N", minimum=1, maximum=1000)

    def changes(self, size: Sequence[int], device: torch.device) -> Iterator[Change]:
        """The mask, dimmed to each step."""
        for step in range(1, self.samples + 1):
            yield partial(torch.mul, other=step / self.samples)


def strongest(activation: Tensor, count: int) -> Tensor:
    """The channels of the largest norm of each image, ``[B, M, h, w]`` of ``[B, C, h, w]``; all if the count is 0."""
    if not 0 < count < activation.shape[1]:
        return activation
    order = activation.flatten(2).norm(dim=2).argsort(dim=1, descending=True, stable=True)[:, :count]
    return activation[torch.arange(len(activation), device=activation.device)[:, None], order]


def channel_scores(problem: Problem, targets: Targets, activation: Tensor, change: Change) -> Tensor:
    """The scores ``[B, C, K]`` of each image behind the mask ``n(up A^k)`` of each of its channels.

    All flat channels of an image make the same mask, zeros, which is scored once.
    """
    flat = activation.amax((-2, -1)) == activation.amin((-2, -1))
    blank = flat & (flat.cumsum(1) == 1)
    images, indices = (blank | ~flat).nonzero(as_tuple=True)
    # Zeros stay zeros through upsampling, while other constants may come out with rounding for normalise to blow up.
    masks = activation.masked_fill(flat[..., None, None], 0.0)[images, indices]
    scored = score_masked(problem, targets, masks, images, prepare=lambda rows: change(normalize(rows)))
    scores = scored.new_zeros(*flat.shape, targets.count)
    scores[images, indices] = scored
    shared = scores.where(blank[..., None], 0.0).sum(1, keepdim=True)
    return scores.where(~flat[..., None], shared)
