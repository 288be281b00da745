"""How faithful a map is to the model: what the score does as the map decides which pixels are seen.

Notation: m is a map min-max normalised to [0, 1] at the image's size, see :func:`mask_of`; p(x) is the probability that
the model gives the explained class of image x; o is p(x ⊙ m).

Everything is measured on N rows, each an image and a map of it. Whatever hides a pixel is given as images too,
``[N or 1, C, 1 or H, 1 or W]``: black as the model takes it, its mean colour, or blurred copies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from saliency.blur import blur
from saliency.capture import Inputs
from saliency.explainer import plain
from saliency.maps import normalize, upsample
from saliency.masking import CHUNK
from saliency.noise import noisy_copies
from saliency.picture import GRAPH_CHUNK, forward_from_picture, picture_of
from saliency.targets import Targets, TargetsLike

Score = Callable[[Tensor, Tensor], Tensor]
"""Gives the probabilities p ``[R]`` of disturbed images ``[R, C, H, W]``, of which number r is made of row
``rows[r]`` (int64 ``[R]``) and is scored for that row's class."""

BLUR_SIGMA: Final = 10 / 224
"""Standard deviation of the blur that pixels are inserted into, as a share of the shorter side.

Twice that of RISE, which is 5 pixels of 224 and ends after 5 pixels. Behind theirs, the scenes classifier is hardly
less sure than without; behind this one it guesses.
"""


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """What :func:`measure` finds, each float32 ``[N]`` in [0, 1].

    Attributes:
        drop: share of p that is lost behind the map; lower is better. Its mean over images is the average drop.
        gain: share of 1 - p that is won behind the map; higher is better. Its mean is the average gain.
        increase: 1 where p rises behind the map, else 0. Its mean is the increase.
        insertion: area under p as pixels are inserted, the strongest of the map first; higher is better.
        deletion: area under p as they are deleted, the strongest first; lower is better.
    """

    drop: Tensor
    gain: Tensor
    increase: Tensor
    insertion: Tensor
    deletion: Tensor


def measure(
    score: Score, images: Tensor, masks: Tensor, *, hidden: Tensor, start: Tensor, end: Tensor, steps: int
) -> Faithfulness:
    """Measures maps in N + 2 N (steps + 1) forwards, in chunks.

    Args:
        score: of the model.
        images: ``[N, C, H, W]`` as ``score`` takes them.
        masks: m, ``[N, H, W]``.
        hidden: what is seen where m is 0.
        start: what pixels are inserted into.
        end: what is left when all pixels are deleted.
        steps: of insertion and of deletion.
    """
    after = behind(score, images, masks, hidden)
    deletion = curve(score, masks, images, end, steps)
    before = deletion[:, 0]
    return Faithfulness(
        drop=drop(before, after),
        gain=gain(before, after),
        increase=(after > before).float(),
        insertion=area(curve(score, masks, start, images, steps)),
        deletion=area(deletion),
    )


def mask_of(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Makes m of raw maps ``[N, h, w]``: upsampled, then normalised, as Zhang et al. do; zeros for a flat map."""
    return normalize(upsample(maps, size))


def blurred(images: Tensor) -> Tensor:
    """What pixels are inserted into: images ``[N, C, H, W]`` under a Gaussian of :data:`BLUR_SIGMA`, cut at three."""
    sigma = BLUR_SIGMA * min(images.shape[-2:])
    return blur(images, sigma, round(3 * sigma))


def behind(score: Score, images: Tensor, masks: Tensor, hidden: Tensor) -> Tensor:
    """o, the probabilities ``[N]`` behind masks ``[N, H, W]``: of ``m x + (1 - m) hidden``."""
    under = hidden.expand_as(images)

    def masked(rows: Tensor, _step: Tensor) -> Tensor:
        opacity = masks[rows, None].to(images.dtype)
        return opacity * images[rows] + (1 - opacity) * under[rows]

    return score_each(score, masked, len(images), 1)[:, 0]


def drop(before: Tensor, after: Tensor) -> Tensor:
    """``max(0, p - o) / p``, and 0 where p is 0 (Chattopadhay et al., Grad-CAM++, 2018)."""
    return (before - after).clamp_min(0.0) / before.where(before > 0, 1.0)


def gain(before: Tensor, after: Tensor) -> Tensor:
    """``max(0, o - p) / (1 - p)``, and 0 where p is 1 (Zhang et al., Opti-CAM, 2024)."""
    return (after - before).clamp_min(0.0) / (1 - before).where(before < 1, 1.0)


def ranks(masks: Tensor) -> Tensor:
    """Which place each pixel has, 0 for the strongest: int64 ``[N, H, W]``; equal pixels in reading order.

    Every place is taken once, so that as many pixels are hidden at each step whatever the map. A threshold would hide
    a whole area of equal values at once, such as the zeros of a map that is clipped.
    """
    order = masks.flatten(1).argsort(dim=1, descending=True, stable=True)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view_as(masks)


def curve(score: Score, masks: Tensor, first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Follows p as pixels of one image are replaced by those of another, the strongest of the map first.

    Deletion goes from the image to black or the mean colour, insertion from a blurred image to the image (Petsiuk et
    al., RISE, 2018, who take 224 steps at 224 x 224).

    Args:
        score: of the model.
        masks: ``[N, H, W]``.
        first: images before the first step, ``[N or 1, C, 1 or H, 1 or W]``.
        last: images after the last step, likewise.
        steps: how many, with equal numbers of pixels up to rounding.

    Returns:
        float32 ``[N, steps + 1]``.
    """
    first, last = first.expand(len(masks), -1, -1, -1), last.expand(len(masks), -1, -1, -1)
    places = ranks(masks)
    counts = torch.arange(steps + 1, device=masks.device) * masks[0].numel() // steps

    def replaced(rows: Tensor, step: Tensor) -> Tensor:
        gone = places[rows] < counts[step, None, None]
        return last[rows].where(gone[:, None], first[rows])

    return score_each(score, replaced, len(masks), steps + 1)


def score_each(score: Score, disturbed: Callable[[Tensor, Tensor], Tensor], count: int, steps: int) -> Tensor:
    """Scores each row at each step, in full chunks that run on over rows.

    Args:
        score: of the model.
        disturbed: makes images ``[R, C, H, W]`` of rows and steps, both int64 ``[R]``.
        count: of rows.
        steps: of each.

    Returns:
        float32 ``[count, steps]``.
    """
    scores = []
    for pairs in torch.split(torch.arange(count * steps), CHUNK):
        rows = pairs // steps
        scores.append(score(disturbed(rows, pairs % steps), rows).float())
    return torch.cat(scores).view(count, steps)


def area(curves: Tensor) -> Tensor:
    """Areas ``[N]`` under curves ``[N, steps + 1]`` over [0, 1], by the trapezoidal rule."""
    return torch.trapezoid(curves, dim=1) / (curves.shape[1] - 1)


def seen(
    model: Callable[..., Any],
    images: Inputs,
    targets: TargetsLike,
    *,
    samples: int = 4,
    noise: float = 0.1,
    seed: int = 0,
) -> Tensor:
    """Which pixels can move the score: those of which a channel has a gradient, at the image or near it.

    A pixel may have none at one point by chance, as every ReLU may be closed; so noisy copies are asked too. This finds
    what the model cannot see at all, not what it sees and makes little of. In half precision, a gradient that is too
    small for it counts as none.

    Args:
        model: in evaluation mode, or what :func:`saliency.lean.often` makes of it; left as it was.
        images: B of them, as for :func:`saliency.explain`.
        targets: K for each, likewise.
        samples: noisy copies.
        noise: standard deviation of their noise, as a share of the range of each image's values.
        seed: of the noise.

    Returns:
        bool ``[B, K, H, W]``.
    """
    with torch.inference_mode(False), torch.no_grad():
        inputs = plain(images)
        _, pictures = picture_of(inputs)
        run = forward_from_picture(model, inputs)
        wanted = Targets.parse(targets, len(pictures)).resolve(run.outputs.detach())
        found = (run.gradients(wanted.score) != 0).any(2)
        for copies, owners in noisy_copies(inputs, samples, noise, seed, chunk=GRAPH_CHUNK):
            run = forward_from_picture(model, copies)
            moves = (run.gradients(partial(wanted.score, images=owners)) != 0).any(2)
            found |= moves.view(-1, *found.shape).any(0)
    return found


def unseen_share(maps: Tensor, visible: Tensor) -> Tensor:
    """The share of each map's energy, ``Σ |map|``, on pixels that cannot move the score; 0 for a map of zeros.

    Args:
        maps: raw, ``[B, K, h, w]``.
        visible: what :func:`seen` finds, ``[B, K, H, W]``.

    Returns:
        float32 ``[B, K]`` in [0, 1].
    """
    energy = upsample(maps, visible.shape[-2:]).abs()
    total = energy.sum((-2, -1))
    return energy.masked_fill(visible, 0.0).sum((-2, -1)) / total.where(total > 0, 1.0)
