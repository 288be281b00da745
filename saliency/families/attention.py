"""Maps made of a transformer's attention weights.

Notation: A_l are the weights of block l of L, ``[H, T, T]`` for H heads and T tokens, a row per query; Ā_l their mean
over heads. A relevance r ``[1, T]`` starts on the tokens that the scores are read from (a class token, or all patches
alike where they are averaged) and is carried down from the last block to the first.
"""

from abc import abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from saliency.attention import See, watch_attention
from saliency.capture import call, scores_of
from saliency.layers import Layer
from saliency.registry import Cost, Evidence, Method, Problem, Reads, UnsuitableError, register
from saliency.survey import Survey, blank, recall, survey
from saliency.targets import Targets


@dataclass(frozen=True)
class AttentionMethod(Method):
    """A map made of the attention weights of all blocks."""

    reads = Reads.MODEL
    needs = "attention over the whole image"

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        seen = survey(problem.model, problem.inputs)
        tokens = _token_layer(seen)
        if tokens is None:
            raise UnsuitableError(f"{self.id} does not work on this model: {_obstacle(seen)}")
        outputs, targets, relevance = self.relevance(problem, seen, _start(problem, tokens, seen))
        rows = relevance.flatten(0, 1)[..., None]
        maps = tokens.spatial(rows).reshape(*relevance.shape[:2], *seen.grids[tokens])
        return Evidence(maps, outputs.detach(), targets)

    @abstractmethod
    def relevance(self, problem: Problem, seen: Survey, start: Tensor) -> tuple[Tensor, Targets, Tensor]:
        """Outputs ``[B, N]``, resolved targets, and the relevance of the first block's tokens ``[B, K, T]`` float32.

        Args:
            problem: what to explain.
            seen: of its model.
            start: ``[T]`` float32, where the scores are read from.
        """

    @classmethod
    def unsuitable(cls, model: nn.Module) -> str | None:
        """It needs attention over the whole image; of a model that never ran nothing is known."""
        seen = recall(model)
        return _obstacle(seen) if seen else None


@register(
    "attention-rollout",
    paper="Abnar and Zuidema, Quantifying Attention Flow, ACL 2020, equation 1",
    cost=Cost.FORWARD,
    passes="1 forward",
)
@dataclass(frozen=True)
class AttentionRollout(AttentionMethod):
    """Where attention leads, half of each token's evidence being its own: ``r ← r (Ā_l + I) / 2``."""

    class_agnostic = True

    def relevance(self, problem: Problem, seen: Survey, start: Tensor) -> tuple[Tensor, Targets, Tensor]:
        """Carries the start down through the mean weights."""
        means: list[Tensor] = []

        def see(weights: Tensor) -> Tensor:
            means.append(weights.float().mean(1))
            return weights

        with torch.no_grad(), _watch_image(seen, see):
            outputs = scores_of(call(problem.model, problem.inputs))
        targets = problem.targets.resolve(outputs)
        found = start.to(outputs.device).expand(len(outputs), 1, -1)
        for mean in reversed(means):
            found = (found @ mean + found) / 2
        return outputs, targets, found.expand(-1, targets.count, -1)


@register(
    "gradient-attention",
    paper="Chefer et al., Generic Attention-model Explainability, ICCV 2021, equations 5 and 6",
    cost=Cost.FEW,
    passes="1 forward, 1 backward",
    aliases=("generic-attention", "transformer-attribution"),
)
@dataclass(frozen=True)
class GradientAttention(AttentionMethod):
    """Where attention that speaks for the target leads: ``r ← r (I + mean_h ReLU(∂y/∂A_l ⊙ A_l))``."""

    def relevance(self, problem: Problem, seen: Survey, start: Tensor) -> tuple[Tensor, Targets, Tensor]:
        """Carries the start down through the weights that the score rises with."""
        blocks: list[Tensor] = []

        def see(weights: Tensor) -> Tensor:
            blocks.append(weights if weights.requires_grad else weights.detach().requires_grad_())
            torch.set_grad_enabled(True)  # the graph starts from the first block's weights
            return blocks[-1]

        with torch.no_grad(), _watch_image(seen, see):
            outputs = scores_of(call(problem.model, problem.inputs))
        targets = problem.targets.resolve(outputs)
        with torch.enable_grad():
            totals = targets.score(outputs).sum(0).unbind()
        if not totals[0].requires_grad:
            raise UnsuitableError(f"{self.id} does not work on this model: its scores are not differentiable")
        # One target at a time: the gradients of all blocks are as large as all their weights.
        found = [self._carried(start.to(outputs.device).expand(len(outputs), 1, -1), blocks, total) for total in totals]
        return outputs, targets, torch.cat(found, 1)

    def _carried(self, relevance: Tensor, blocks: list[Tensor], total: Tensor) -> Tensor:
        gradients = torch.autograd.grad(total, blocks, retain_graph=True, materialize_grads=True)
        for weights, gradient in zip(reversed(blocks), reversed(gradients), strict=True):
            relevance = relevance + relevance @ (weights.detach().float() * gradient.float()).relu().mean(1)
        return relevance


def _watch_image(seen: Survey, see: See) -> AbstractContextManager[Any]:
    """Shows the attention weights that the image reaches; a text's own are passed over."""
    places = count()
    return watch_attention(lambda weights: see(weights) if next(places) in seen.attention else weights)


def _obstacle(seen: Survey) -> str | None:
    """Why attention cannot be carried through the model, as the end of a sentence."""
    if _token_layer(seen):
        return None
    if not seen.attention:
        return "no attention was seen in it"
    if _span(seen) is None:
        return (
            "its attention spans windows, grids of several sizes or a text beside the image, so there is no way through"
            " all of its blocks"
        )
    return "the grid of the tokens that its attention spans was not found"


def _token_layer(seen: Survey) -> Layer | None:
    """A layer that gives the tokens which the attention of every block spans; None if there is none."""
    span = _span(seen)
    for layer, (rows, columns) in seen.grids.items():
        length = layer.prefix + rows * columns
        if layer.grid and span == (length, length):
            return layer
    return None


def _span(seen: Survey) -> tuple[int, ...] | None:
    """Queries and keys of all attention that the image reaches; None if they differ."""
    spans = {shape and shape[1:] for shape in seen.attention.values()}
    # A text of the same length may look at the image, but first it attends to itself alone.
    unbroken = len(seen.attention) == 1 + max(seen.attention, default=0) - min(seen.attention, default=0)
    return spans.pop() if len(spans) == 1 and unbroken else None


def _start(problem: Problem, tokens: Layer, seen: Survey) -> Tensor:
    """Where the scores are read from: each prefix token alone, and the patches together, have equal shares.

    A NaN in their rows of the last block's weights shows whether they are read; remembered for the model.

    Returns:
        ``[T]`` float32 of sum 1.
    """
    length = tokens.prefix + seen.grids[tokens][0] * seen.grids[tokens][1]
    groups = [slice(i, i + 1) for i in range(tokens.prefix)] + [slice(tokens.prefix, length)]
    known = _read.setdefault(problem.model, {})
    if tokens.prefix not in known:
        known[tokens.prefix] = _groups_read(problem, groups, seen)
    start = torch.zeros(length)
    for group, read in zip(groups, known[tokens.prefix], strict=True):
        start[group] = read / (group.stop - group.start)
    return start / start.sum()


def _groups_read(problem: Problem, groups: list[slice], seen: Survey) -> list[bool]:
    """Whether the scores are read from each group of tokens."""
    left = len(seen.attention)

    def poison(weights: Tensor) -> Tensor:
        nonlocal left
        left -= 1
        if left:
            return weights
        poisoned = weights.clone()
        for image, group in enumerate(groups):
            poisoned[image, :, group] = float("nan")
        return poisoned

    with torch.no_grad(), _watch_image(seen, poison):
        outputs = scores_of(call(problem.model, blank(problem.inputs, len(groups))))
    return outputs.isnan().flatten(1).any(1).tolist()


_read: WeakKeyDictionary[nn.Module, dict[int, list[bool]]] = WeakKeyDictionary()
"""By the number of prefix tokens, which a text before the patches adds to."""
