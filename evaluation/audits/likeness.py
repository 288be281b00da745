"""How alike a network's maps are to its maps in another state, and all such figures of an audit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from evaluation.measures.similarity import rank_correlation, ssim
from evaluation.methods import Contender
from evaluation.report.section import Figure
from saliency.maps import normalize, upsample


@dataclass(frozen=True)
class Likeness:
    """Of the maps of a network in one state to those of the trained one, means over the pictures.

    Attributes:
        rank: rank correlation.
        absolute: rank correlation of absolute values; None for a method whose maps have no negative ones.
        structure: SSIM of the normalised maps.
        flat: share of maps that have become flat, as clipped maps do where all is negative.
    """

    rank: float
    absolute: float | None
    structure: float
    flat: float

    @classmethod
    def of(cls, trained: Tensor, raw: Tensor, size: tuple[int, int]) -> "Likeness":
        """Of raw maps ``[N, h, w]`` of both, compared at the pictures' size."""
        before, after = upsample(trained, size), upsample(raw, size)
        signed = bool((trained < 0).any())
        return cls(
            rank=_mean(rank_correlation(before, after)),
            absolute=_mean(rank_correlation(before.abs(), after.abs())) if signed else None,
            structure=_mean(ssim(normalize(before), normalize(after))),
            flat=_mean(raw.flatten(1).amax(1) == raw.flatten(1).amin(1)),
        )


@dataclass(frozen=True, eq=False)
class Findings:
    """All that was measured.

    Attributes:
        contenders: methods and controls.
        layers: from the output.
        images: pictures that each mean is over.
        draws: of random weights.
        elsewhere: by contender, rank correlation of its maps with those of other pictures for the same classes, mean.
        likenesses: by contender, scheme and depth, one per draw.
    """

    contenders: Sequence[Contender]
    layers: Sequence[str]
    images: int
    draws: int
    elsewhere: Mapping[str, float]
    likenesses: Mapping[tuple[str, str, int], Sequence[Likeness]]

    @property
    def half(self) -> int:
        """Of the layers."""
        return max(1, len(self.layers) // 2)

    def mean(self, name: str, scheme: str, depth: int, field: str) -> float:
        """A field of a contender's likenesses, over the draws."""
        return float(sum(getattr(own, field) for own in self.likenesses[name, scheme, depth]) / self.draws)

    def figure(self, name: str, scheme: str, depths: Sequence[int], field: str) -> Figure | None:
        """Likewise over some depths, with the spread over the draws; None if the field does not apply."""
        values = [[getattr(own, field) for own in self.likenesses[name, scheme, depth]] for depth in depths]
        if any(value is None for own in values for value in own):
            return None
        return Figure.over([sum(own) / len(own) for own in zip(*values, strict=True)])


def _mean(values: Tensor) -> float:
    return float(values.double().mean())
