"""Maps found by disturbing a layer's activation and running what comes after it; no gradients.

Notation: A is the layer's activation ``[B, C, h, w]``, y the target's score.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from saliency.families.gradient_cam import weighted
from saliency.head import Head
from saliency.maps import fuse
from saliency.masking import CHUNK
from saliency.registry import Cost, Evidence, Method, Problem, fusion, register
from saliency.targets import Targets

Disturb = Callable[[Tensor, Tensor], None]
"""Changes activations ``[R, C, h, w]`` in place, each in its own way, of which ``[R]`` is the number."""


@dataclass(frozen=True)
class HeadCAM(Method):
    """A map made of the scores under disturbed activations."""

    fusion: str = fusion()

    def explain(self, problem: Problem) -> Evidence:
        """Finds the evidence for each target of each image."""
        maps = []
        for layer in problem.layers:
            head = Head(problem.model, problem.inputs, layer)
            targets = problem.targets.resolve(head.outputs)
            maps.append(self.map(head, targets))
        return Evidence(fuse(maps, self.fusion, clip=self.clip), head.outputs, targets)

    @abstractmethod
    def map(self, head: Head, targets: Targets) -> Tensor:
        """Makes maps ``[B, K, h, w]``."""


@register(
    "ablation-cam",
    paper="Desai and Ramaswamy, Ablation-CAM, WACV 2020, equations 2 and 3",
    cost=Cost.MANY,
    passes="1 forward, C heads",
)
@dataclass(frozen=True)
class AblationCAM(HeadCAM):
    """Channels weighted by what the score loses without them: ``ReLU(Σ_k w_k A^k)``, ``w_k = (y - y_k) / |y|``.

    y_k is the score with A^k set to zero. The paper divides by y, which turns the map round where y is negative.
    """

    def map(self, head: Head, targets: Targets) -> Tensor:
        """Sums the weighted channels; those that are zero anyway are not run."""
        activation = head.layer.spatial(head.activation)
        images, channels = (activation != 0).any(-1).any(-1).nonzero(as_tuple=True)

        def ablate(rows: Tensor, numbers: Tensor) -> None:
            rows[torch.arange(len(rows), device=rows.device), numbers] = 0

        plain = targets.score(head.outputs).float()
        without = plain[:, None].repeat(1, activation.shape[1], 1)
        without[images, channels] = _scores(head, targets, images, channels, ablate)
        size = plain.abs().where(plain != 0, 1.0)
        weights = (plain[:, None] - without) / size[:, None]
        return weighted(weights.transpose(1, 2), activation.float())


@register("recipro-cam", paper="Byun and Lee, Recipro-CAM, 2022", cost=Cost.MANY, passes="1 forward, h x w heads")
@dataclass(frozen=True)
class ReciproCAM(HeadCAM):
    """The score of each cell of the activation by itself: ``S_ij = y(A ⊙ G_ij)``; not clipped.

    G_ij is the 3 x 3 Gaussian ``[1, 2, 1]ᵀ [1, 2, 1] / 16`` around cell ij, made to sum to one at the border, where the
    authors only cut it and cells so seem weaker. y is the target's score, a logit for a class, where they take the
    probability. Of tokens, those before the grid's stay as they are.
    """

    clip = False

    def map(self, head: Head, targets: Targets) -> Tensor:
        """Runs each cell."""
        batch, _, rows, columns = head.layer.spatial(head.activation).shape
        masks = torch.einsum("ik,jl->ijkl", _bells(rows), _bells(columns)).flatten(0, 1).to(head.activation)
        images = torch.arange(batch, device=masks.device).repeat_interleave(len(masks))
        cells = torch.arange(len(masks), device=masks.device).repeat(batch)

        def mask(own: Tensor, numbers: Tensor) -> None:
            own *= masks[numbers][:, None]

        scores = _scores(head, targets, images, cells, mask)
        return scores.reshape(batch, rows, columns, -1).permute(0, 3, 1, 2)


def _scores(head: Head, targets: Targets, images: Tensor, numbers: Tensor, disturb: Disturb) -> Tensor:
    """The scores ``[R, K]`` of images ``[R]``, each with its activation disturbed in the way of its number ``[R]``."""
    scores = [torch.zeros(0, targets.count, device=images.device)]
    for start in range(0, len(images), CHUNK):
        owners = images[start : start + CHUNK]
        rows = head.activation[owners]
        disturb(head.layer.spatial(rows), numbers[start : start + CHUNK])
        scores.append(targets.score(head.run(rows, owners), owners).float())
    return torch.cat(scores)


def _bells(side: int) -> Tensor:
    """``[side, side]``, of which row i has 2 at place i and 1 beside it, over their sum."""
    places = torch.arange(side)
    weights = (2 - (places[:, None] - places).abs()).clamp_min(0).float()
    return weights / weights.sum(1, keepdim=True)
