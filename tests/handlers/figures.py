"""The figures of Faithfulness, one forward after the other in float64."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from camserve.v1 import explanation_pb2 as pb
from handlers.faithfulness import STEPS
from saliency.faithfulness import blurred

FIGURES = ("average_drop", "average_gain", "increase", "insertion_auc", "deletion_auc")

Probability = Callable[[Tensor], float]
"""Of one image ``[3, H, W]`` in float64."""


def loop(p: Probability, image: Tensor, heat: Tensor, black: Sequence[float]) -> dict[str, float]:
    """The figures of one map, one forward after the other."""
    image, black_image = image.double(), torch.tensor(black, dtype=torch.float64)[:, None, None].expand_as(image)
    resized = F.interpolate(heat[None, None].float(), size=image.shape[1:], mode="bilinear")[0, 0].double()
    spread = resized.max() - resized.min()
    m = (resized - resized.min()) / spread if spread > 0 else torch.zeros_like(resized)
    before, after = p(image), p(m * image + (1 - m) * black_image)
    order = sorted(range(m.numel()), key=lambda i: -float(m.flatten()[i]))
    start, inserted, deleted = blurred(image[None])[0], [], []
    for step in range(STEPS + 1):
        chosen = torch.zeros(m.numel(), dtype=torch.bool)
        chosen[order[: step * m.numel() // STEPS]] = True
        strongest = chosen.view_as(m)
        inserted.append(p(image.where(strongest, start)))
        deleted.append(p(black_image.where(strongest, image)))
    return {
        "average_drop": 100 * max(0.0, before - after) / before,
        "average_gain": 100 * max(0.0, after - before) / (1 - before),
        "increase": after > before,
        "insertion_auc": sum(a + b for a, b in pairwise(inserted)) / 2 / STEPS,
        "deletion_auc": sum(a + b for a, b in pairwise(deleted)) / 2 / STEPS,
    }


def assert_figures(found: pb.Faithfulness, expected: dict[str, float]) -> None:
    for name in FIGURES:
        assert getattr(found, name) == pytest.approx(expected[name], rel=2e-3, abs=2e-4), name
