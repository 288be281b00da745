"""Targets: the scalar of a model's output that a map explains.

A target is an int (a class index) or a callable from one sample's output to a scalar tensor. Those that depend on the
prediction, such as :class:`Rank`, are resolved once, on the unperturbed output, so that methods which disturb the image
keep explaining the same class.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Target = int | Callable[[Tensor], Tensor]
"""One target as callers give it."""


class TargetError(ValueError):
    """A target that does not fit the batch or the model's output."""


@dataclass(frozen=True)
class Class:
    """The score of one class: ``output[index]``; what an int is short for."""

    index: int

    def __call__(self, output: Tensor) -> Tensor:
        """Takes one sample's scores ``[N]``."""
        return output[self.index]


@dataclass(frozen=True)
class Rank:
    """The class with the given rank in a sample's own prediction; 0 is the top one. Resolved to a :class:`Class`."""

    rank: int = 0

    def __call__(self, output: Tensor) -> Tensor:
        """Takes one sample's scores ``[N]``."""
        return self.resolve(output)(output)

    def resolve(self, output: Tensor) -> Class:
        """The class that has this rank in one sample's scores ``[N]``.

        Raises:
            TargetError: the output is not a vector, or has no such rank.
        """
        if output.dim() != 1:
            raise TargetError(
                f"the model gives {list(output.shape)} per image, not a vector of class scores, so it has no top class;"
                " give a callable from that output to a scalar"
            )
        if not 0 <= self.rank < len(output):
            raise TargetError(f"rank {self.rank} is out of range; the model has ranks 0 to {len(output) - 1}")
        return Class(int(output.topk(self.rank + 1).indices[-1]))


@dataclass(frozen=True)
class Contrast:
    """A target against classes: its score less the mean of theirs, weighted by their shares if there are any."""

    target: Target
    against: tuple[int, ...]
    shares: tuple[float, ...] = ()

    def __call__(self, output: Tensor) -> Tensor:
        """Takes one sample's scores ``[N]``."""
        others = output[list(self.against)]
        mean = (others * others.new_tensor(self.shares)).sum() if self.shares else others.mean()
        return _callable(self.target)(output) - mean

    def resolve(self, output: Tensor) -> "Contrast":
        """The same contrast of the resolved target."""
        return Contrast(_resolve(self.target, output), self.against, self.shares)


@dataclass(frozen=True)
class Counter:
    """The counterfactual of a target: what speaks against it. Its score is the target's, negated.

    Selvaraju et al., "Grad-CAM", section 3.3: the gradient is negated.
    """

    target: Target

    def __call__(self, output: Tensor) -> Tensor:
        """Takes one sample's scores ``[N]``."""
        return -_callable(self.target)(output)

    def resolve(self, output: Tensor) -> "Counter":
        """The counterfactual of the resolved target."""
        return Counter(_resolve(self.target, output))


def classes_of(target: Target) -> tuple[int, ...]:
    """The class indices that a resolved target reads, its own first; none for a callable of the caller's."""
    if isinstance(target, Contrast):
        return (*classes_of(target.target), *target.against)
    if isinstance(target, Counter):
        return classes_of(target.target)
    return (target.index,) if isinstance(target, Class) else ()


class Targets:
    """The targets of a batch: K for each of its B images."""

    def __init__(self, rows: Sequence[Sequence[Target]], *, single: bool) -> None:
        self.rows = tuple(tuple(row) for row in rows)
        self.single = single
        """Whether each image was given one target and no list, so that results have no K dimension."""
        self._classes = _class_indices(self.rows)

    @classmethod
    def parse(cls, targets: "TargetsLike", batch: int) -> "Targets":
        """Reads what callers give: per image one target or a list of K; None for each image's top class.

        Raises:
            TargetError: the number of targets is not the number of images, or images differ in K.
            TypeError: a target is neither an int nor a callable.
        """
        if targets is None:
            return cls([[Rank(0)]] * batch, single=True)
        if isinstance(targets, Tensor):
            targets = targets.tolist()
        if not isinstance(targets, Sequence):
            raise TypeError(f"targets must be a sequence with one entry per image, not {type(targets).__name__}")
        if len(targets) != batch:
            raise TargetError(f"targets has {len(targets)} entries for {batch} images; give one entry per image")
        nested = [isinstance(entry, Sequence) for entry in targets]
        if any(nested) and not all(nested):
            raise TargetError("targets mixes single targets and lists; give every image a list, or none")
        rows = [list(entry) if isinstance(entry, Sequence) else [entry] for entry in targets]
        if len({len(row) for row in rows}) > 1 or (rows and not rows[0]):
            raise TargetError(f"every image needs the same number of targets, at least 1; got {[len(r) for r in rows]}")
        for i, row in enumerate(rows):
            for k, target in enumerate(row):
                if not callable(target) and (isinstance(target, bool) or not isinstance(target, int)):
                    raise TypeError(f"targets[{i}][{k}] must be an int or a callable, not {type(target).__name__}")
        return cls(rows, single=not any(nested))

    @property
    def count(self) -> int:
        """K, the number of targets per image."""
        return len(self.rows[0])

    def resolve(self, outputs: Tensor) -> "Targets":
        """The same targets with everything settled that depends on the unperturbed outputs ``[B, N]``.

        Raises:
            TargetError: a class is out of range for the N scores.
        """
        rows = [
            [_checked(_resolve(target, output), output, f"targets[{i}][{k}]") for k, target in enumerate(row)]
            for i, (row, output) in enumerate(zip(self.rows, outputs.detach(), strict=True))
        ]
        return Targets(rows, single=self.single)

    def score(self, outputs: Tensor, images: Tensor | None = None) -> Tensor:
        """Scores ``[R, K]`` of R outputs ``[R, N]``; row r belongs to image ``images[r]`` (``[R]`` int64), or to r."""
        if self._classes is not None:
            index = self._classes.to(outputs.device)
            return outputs.gather(1, index if images is None else index[images])
        owners = range(len(outputs)) if images is None else images.tolist()
        return torch.stack(
            [
                torch.stack([_callable(target)(output) for target in self.rows[owner]])
                for output, owner in zip(outputs, owners, strict=True)
            ]
        )


TargetsLike = Sequence[Target] | Sequence[Sequence[Target]] | Tensor | None
"""The targets of a batch as callers give them."""


def _callable(target: Target) -> Callable[[Tensor], Tensor]:
    return Class(target) if isinstance(target, int) else target


def _resolve(target: Target, output: Tensor) -> Target:
    resolve = getattr(target, "resolve", None)
    return resolve(output) if resolve else _callable(target)


def _checked(target: Target, output: Tensor, place: str) -> Target:
    for index in classes_of(target):
        if output.dim() != 1:
            raise TargetError(
                f"{place} is a class, but the model gives {list(output.shape)} per image, not a vector of class scores;"
                " give a callable from that output to a scalar"
            )
        if not 0 <= index < len(output):
            raise TargetError(f"{place} is class {index}, but the model has classes 0 to {len(output) - 1}")
    return target


def _class_indices(rows: tuple[tuple[Target, ...], ...]) -> Tensor | None:
    """The class indices ``[B, K]`` if all targets are plain classes, so that scoring is one gather."""
    if all(isinstance(target, Class) for row in rows for target in row):
        return torch.tensor([[target.index for target in row] for row in rows if row])  # type: ignore[union-attr]
    return None
