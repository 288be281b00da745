"""ROAD: remove pixels by what their neighbours tell, so that their shape does not give the class away.

Rong et al., "A consistent and efficient evaluation strategy for attribution methods" (ICML 2022).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final

import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

from saliency.faithfulness import Score, ranks, score_each

SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the pixels that are removed."""


@dataclass(frozen=True, eq=False)
class Road:
    """Probabilities of the explained class as ever larger shares of the pixels are removed.

    Attributes:
        most: with the pixels strongest in the map removed, float32 ``[N, shares]``; lower is better.
        least: with the weakest removed, likewise; higher is better.
    """

    most: Tensor
    least: Tensor

    @property
    def combined(self) -> Tensor:
        """``mean(least - most) / 2`` over the shares, ``[N]``; higher is better, and 0 for a random order."""
        return (self.least - self.most).mean(1) / 2


def road(
    score: Score, images: Tensor, maps: Tensor, *, shares: Sequence[float] = SHARES, noise: float = 0.01, seed: int = 0
) -> Road:
    """Scores images with removed pixels.

    Exactly the given share is removed: pixels of one value, such as the zeros of a clipped map, take turns in reading
    order. A percentile as threshold would remove all of them or none.

    Args:
        score: of the model. The paper counts how often its top class is still right; this gives the probability, as
            pytorch-grad-cam does.
        images: ``[N, C, H, W]``.
        maps: ``[N, H, W]``.
        shares: of the pixels, each above 0 and below 1.
        noise: standard deviation of what is added to imputed pixels, in the images' own unit; the same for every image.
        seed: of the noise.

    Raises:
        ValueError: a share is out of range.
    """
    if not all(0 < share < 1 for share in shares):
        raise ValueError(f"shares must lie above 0 and below 1, not {list(shares)}")
    pixels = maps[0].numel()
    counts = torch.tensor([round(share * pixels) for share in shares], device=maps.device)
    draw = torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(seed)).to(images)
    strong = ranks(maps)
    weak = pixels - 1 - strong

    def removed(places: Tensor, rows: Tensor, share: Tensor) -> Tensor:
        missing = places[rows] < counts[share, None, None]
        return impute(images[rows], missing) + missing[:, None] * (noise * draw)

    most, least = (score_each(score, partial(removed, places), len(images), len(shares)) for places in (strong, weak))
    return Road(most, least)


def impute(images: Tensor, missing: Tensor) -> Tensor:
    """Fills pixels so that each is the weighted mean of its neighbours within the image, filled ones among them.

    Args:
        images: ``[R, C, H, W]``.
        missing: bool ``[R, H, W]``; not all of an image.

    Returns:
        Of the same shape and dtype as the images.

    Raises:
        ValueError: all pixels of an image are missing.
    """
    system = _system(*missing.shape[1:])
    pixels = images.double().flatten(2).transpose(1, 2).cpu().numpy().copy()
    for values, hole in zip(pixels, missing.flatten(1).cpu().numpy(), strict=True):
        if hole.all():
            raise ValueError("all pixels of an image are missing, so there is nothing to fill them from")
        if hole.any():
            rows = system[hole]
            values[hole] = _factorised(rows[:, hole]).solve(-(rows[:, ~hole] @ values[~hole]))
    return torch.from_numpy(pixels).to(images).transpose(1, 2).reshape(images.shape)


@lru_cache(maxsize=4)
def _system(height: int, width: int) -> sparse.csr_array:
    """One equation per pixel, ``[HW, HW]``: its own value times the weights of its neighbours, less theirs, is 0.

    Neighbours weigh 1/6 beside and 1/12 at corners; outside the image there are none.
    """
    across, down = (sparse.diags_array([1.0, 2.0, 1.0], offsets=[-1, 0, 1], shape=(n, n)) for n in (width, height))
    weights = (sparse.kron(down, across) - 4 * sparse.eye_array(height * width)) / 12
    return sparse.csr_array(sparse.diags_array(weights.sum(1)) - weights)


def _factorised(matrix: sparse.csr_array) -> Any:
    """The symmetric, positive definite matrix, ready to solve; ordered and pivoted for such."""
    options = {"SymmetricMode": True}
    return splu(sparse.csc_array(matrix), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
