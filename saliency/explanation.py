"""What an explanation is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from torch import Tensor

from saliency.targets import Target


class WarningKind(Enum):
    """What to beware of in a map."""

    FLAT = "flat"
    """All values were equal; the map is zeros."""
    ALL_NEGATIVE = "all-negative"
    """All evidence was negative, so clipping at zero left nothing."""
    NON_FINITE = "non-finite"
    """Values that are not finite appeared and were set to zero."""
    BUDGET_EXHAUSTED = "budget-exhausted"
    """The budget ended the method early; the map is the best until then."""


@dataclass(frozen=True)
class MapWarning:
    """A warning about one map.

    Attributes:
        kind: what happened.
        image: index of the image in the batch.
        target: index of the target among the image's K.
    """

    kind: WarningKind
    image: int
    target: int


@dataclass(frozen=True, eq=False)
class Explanation:
    """Maps of a batch, with all that is needed to read them.

    Attributes:
        maps: ``[B, h, w]``, or ``[B, K, h, w]`` if lists of targets were given; float32, always finite, raw and signed
            as the method defines, at the layer's own resolution.
        scores: ``[B]`` or ``[B, K]`` float32, the targets' scores.
        outputs: ``[B, N]``, the model's own output, detached.
        targets: the K resolved targets of each of the B images.
        layers: dotted names of the layers that were read.
        method: id of the method.
        warnings: what to beware of.
        steps_done: ``[B]`` or ``[B, K]`` int64, the steps that an iterative method did; None for others.
        contributions: ``[B, C]`` or ``[B, K, C]`` float32, how much each channel contributed to the targets' scores, by
            the names of those layers for which it was asked; see :mod:`saliency.contributions`.
    """

    maps: Tensor
    scores: Tensor
    outputs: Tensor
    targets: tuple[tuple[Target, ...], ...]
    layers: tuple[str, ...]
    method: str
    warnings: tuple[MapWarning, ...]
    steps_done: Tensor | None = None
    contributions: Mapping[str, Tensor] = field(default_factory=dict)
