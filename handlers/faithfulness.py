"""Measuring the maps of a request: how its targets' probabilities move as the maps decide which pixels are seen.

The choices are those that ``camserve.v1.Faithfulness`` tells callers of.
"""

from collections.abc import Callable, Sequence
from math import nan
from time import monotonic
from typing import Any, Final

import torch
from torch import Tensor, nn

from camserve.errors import FailedPreconditionError
from camserve.v1 import explanation_pb2 as pb
from saliency import UnsuitableError
from saliency.capture import Inputs, call, scores_of
from saliency.faithfulness import blurred, mask_of, measure, seen, unseen_share
from saliency.lean import often
from saliency.picture import picture_of, with_picture
from saliency.targets import Target, classes_of

STEPS: Final = 15
"""Of insertion and of deletion."""

_FORWARDS = 2 * (STEPS + 1) + 1 + 15
"""What a map costs at most. The last are for its unseen share, with a backward counted as two."""

Probabilities = Callable[[Tensor, Sequence[Any]], Tensor]
"""Gives the probabilities ``[R]`` of targets as the core resolved them, one for each of R outputs of the network."""


def class_probabilities(outputs: Tensor, targets: Sequence[Target]) -> Tensor:
    """The softmax probabilities ``[R]`` of classes, whatever they are contrasted with, given logits ``[R, N]``."""
    indices = torch.tensor([classes_of(target)[:1] for target in targets], device=outputs.device)
    return outputs.softmax(1, dtype=torch.promote_types(outputs.dtype, torch.float32)).gather(1, indices)[:, 0]


def measure_by(probabilities: Probabilities | None) -> Probabilities:
    """What maps are measured by.

    Raises:
        FailedPreconditionError: the model has no such thing.
    """
    if probabilities is None:
        raise FailedPreconditionError(
            "faithfulness: the model gives no probabilities, by which maps are measured; leave the field unset",
            "FAITHFULNESS_UNSUITABLE",
            field="faithfulness",
        )
    return probabilities


def measured(
    network: nn.Module,
    inputs: Inputs,
    targets: Sequence[Target],
    maps: Tensor,
    *,
    probabilities: Probabilities,
    counter: bool,
    black: Sequence[float],
    until: float,
) -> list[pb.Faithfulness]:
    """Measures the maps of one image.

    Args:
        network: that was explained.
        inputs: the image, with the texts that the network takes with it.
        targets: K of them, resolved.
        maps: raw, ``[K, h, w]``.
        probabilities: of the targets.
        counter: whether the maps show what speaks against them.
        black: a black pixel as the network takes it.
        until: when the figures must be there, on the clock of ``time.monotonic``.

    Raises:
        TimeoutError: they would not, judged by the forwards so far, of which the first are as few as there are maps.
    """
    if monotonic() >= until:
        raise TimeoutError
    name, picture = picture_of(inputs)
    maps = maps.to(picture.device)
    model = often(network, inputs)
    start, done = monotonic(), 0

    def score(disturbed: Tensor, rows: Tensor) -> Tensor:
        nonlocal done
        with torch.inference_mode():
            outputs = scores_of(call(model, with_picture(inputs, name, disturbed, torch.zeros_like(rows))))
        found = probabilities(outputs, [targets[row] for row in rows.tolist()]).cpu()  # which waits for the device
        done += len(rows)
        if start + (monotonic() - start) / done * len(targets) * _FORWARDS > until:
            raise TimeoutError
        return 1 - found if counter else found

    height, width = picture.shape[-2:]
    ground = picture.new_tensor(black)[None, :, None, None]
    found = measure(
        score,
        picture.expand(len(targets), -1, -1, -1),
        mask_of(maps, (height, width)),
        hidden=ground,
        start=blurred(picture),
        end=ground,
        steps=STEPS,
    )
    return [
        pb.Faithfulness(
            average_drop=100 * drop,
            average_gain=100 * gain,
            increase=bool(increase),
            insertion_auc=insertion,
            deletion_auc=deletion,
            unseen_share=unseen,
        )
        for drop, gain, increase, insertion, deletion, unseen in zip(
            found.drop.tolist(),
            found.gain.tolist(),
            found.increase.tolist(),
            found.insertion.tolist(),
            found.deletion.tolist(),
            _unseen(model, inputs, targets, maps),
            strict=True,
        )
    ]


def _unseen(model: Callable[..., Any], inputs: Inputs, targets: Sequence[Target], maps: Tensor) -> list[float]:
    """The share of each map on pixels that the network cannot see; not a number if there are no gradients to tell."""
    try:
        visible = seen(model, inputs, [list(targets)])
    except UnsuitableError:
        return [nan] * len(targets)
    return unseen_share(maps[None], visible)[0].tolist()
