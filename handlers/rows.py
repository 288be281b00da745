"""Rows: images with their texts and targets, explained together in runs of bounded size."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

import saliency
from camserve.v1 import explanation_pb2 as pb
from handlers.faithfulness import Probabilities, measured
from handlers.progress import Stand
from saliency.capture import Inputs, call, scores_of
from saliency.lean import once
from saliency.targets import Target

MAPS = 128
"""Most maps of one run, rows times targets: what bounds its memory."""

_MEASURING = 0.5  # share of the time left that is kept for measuring
_SHORTEST = 8
_LEAST = 0.001  # seconds: a budget of 0 would be no bound


@dataclass(frozen=True)
class Explaining:
    """How rows are explained: what a run of the core takes beside them.

    Attributes:
        method: its id.
        layers: dotted names; none: the method's own choice.
        options: names and values.
        words: whether captions get a map of each word too. Not the core's, but those that do run apart: they have many
            more targets than the others.
        probabilities: of the targets, by which their maps are measured; None: they are not.
        until: when a method that knows a budget, and measuring, must have ended, on the clock of ``time.monotonic``.
        silence: seconds that measuring may take at most, as nothing is said in them.
        watcher: is told of each step, and returns True to end the method. The rows are then of one request.
    """

    method: str
    layers: tuple[str, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    words: bool = False
    probabilities: Probabilities | None = None
    until: float = float("inf")
    silence: float = float("inf")
    watcher: Callable[[Stand], bool] | None = None

    @property
    def bounded(self) -> bool:
        """Whether time bounds what is done, as it does methods that can be cut short, and measuring."""
        return self.probabilities is not None or anytime(self.method)


@dataclass(frozen=True, eq=False)
class Row:
    """An image, the texts that the network takes with it, and what to explain.

    Attributes:
        image: ``[3, H, W]``.
        targets: of the network's output for this row.
        texts: token ids by the name of the network's input; all rows have the same names.
        counter: whether to show what speaks against the targets.
        places: of the first targets among those of the request; no others are watched or measured.
    """

    image: Tensor
    targets: Sequence[Target] = ()
    texts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    counter: bool = False
    places: Sequence[int] = ()


@dataclass(frozen=True, eq=False)
class Explained:
    """What came of a row with K targets; tensors are on the CPU.

    Attributes:
        maps: ``[K, h, w]`` float32.
        scores: the targets' scores, not negated for counterfactuals.
        targets: resolved.
        counter: as the row said.
        output: the network's for the row, float32.
        warnings: what to beware of in each target's map.
        steps_done: of each target, of an iterative method.
        method: id of the method.
        layers: those that were read.
        contributions: ``[K, C]`` float32, of each channel to the targets, by the name of a layer with named channels.
        faithfulness: of each target of the request, if it was to be measured; None where time was up.
    """

    maps: Tensor
    scores: tuple[float, ...]
    targets: tuple[Target, ...]
    counter: bool
    output: Tensor
    warnings: tuple[tuple[saliency.WarningKind, ...], ...]
    steps_done: tuple[int, ...] | None
    method: str
    layers: tuple[str, ...]
    contributions: Mapping[str, Tensor] = field(default_factory=dict)
    faithfulness: tuple[pb.Faithfulness | None, ...] = ()


class Runner:
    """Runs a network on rows.

    Attributes:
        network: what is explained.
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        black: Sequence[float],
        pad: int = 0,
        named: Collection[str] = (),
    ) -> None:
        """Takes a network on its device.

        Args:
            network: in evaluation mode.
            device: where it is.
            black: a black pixel as it takes it.
            pad: the token that fills up rows.
            named: layers with named channels.
        """
        self.network, self._device, self._black, self._pad, self._named = network, device, black, pad, named

    def inputs(self, rows: Sequence[Row]) -> Inputs:
        """Rows as the network takes them."""
        images = torch.stack([row.image for row in rows]).to(self._device)
        if not rows[0].texts:
            return images
        texts = {name: padded([row.texts[name] for row in rows], self._pad) for name in rows[0].texts}
        return {"images": images, **{name: tokens.to(self._device) for name, tokens in texts.items()}}

    def outputs(self, rows: Sequence[Row]) -> list[Tensor]:
        """The network's outputs, float32 on the CPU."""
        found: list[Tensor] = []
        with torch.inference_mode():
            for part in _parts(rows, 1):
                inputs = self.inputs(part)
                found += scores_of(call(once(self.network, inputs), inputs)).float().cpu()
        return found

    def explain(self, how: Explaining, rows: Sequence[Row]) -> list[Explained]:
        """Explains rows.

        Raises:
            UnsuitableError, OptionError, TargetError, LayerError: as :func:`saliency.explain`.
        """
        # Every row of a run has the same number of targets; the fillers' maps are dropped.
        count = max(len(row.targets) for row in rows)
        parts = [rows] if how.watcher else _parts(rows, count)  # a watcher sees all targets at every step
        found = [explained for part in parts for explained in self._explain(how, part, count)]
        return [self._measured(how, row, explained) for row, explained in zip(rows, found, strict=True)]

    def _explain(self, how: Explaining, rows: Sequence[Row], count: int) -> Iterator[Explained]:
        targets = [[*row.targets, *[row.targets[-1]] * (count - len(row.targets))] for row in rows]
        found = saliency.explain(
            self.network,
            self.inputs(rows),
            [[saliency.Counter(t) if row.counter else t for t in own] for row, own in zip(rows, targets, strict=True)],
            how.method,
            list(how.layers) or None,
            black=self._black,
            progress=None if how.watcher is None else partial(_show, how.watcher, rows),
            contributions=self._named,
            **_in_time(how),
        )
        maps, scores, outputs = found.maps.cpu(), found.scores.tolist(), found.outputs.float().cpu()
        steps = None if found.steps_done is None else found.steps_done.tolist()
        contributions = {layer: values.cpu() for layer, values in found.contributions.items()}
        warnings: dict[tuple[int, int], list[saliency.WarningKind]] = {}
        for warning in found.warnings:
            warnings.setdefault((warning.image, warning.target), []).append(warning.kind)
        for place, row in enumerate(rows):
            own = len(row.targets)
            yield Explained(
                maps=maps[place, :own],
                scores=tuple(-score if row.counter else score for score in scores[place][:own]),
                targets=tuple(t.target if isinstance(t, saliency.Counter) else t for t in found.targets[place][:own]),
                counter=row.counter,
                output=outputs[place],
                warnings=tuple(tuple(warnings.get((place, k), ())) for k in range(own)),
                steps_done=None if steps is None else tuple(steps[place][:own]),
                method=found.method,
                layers=found.layers,
                contributions={layer: values[place, :own] for layer, values in contributions.items()},
            )

    def _measured(self, how: Explaining, row: Row, explained: Explained) -> Explained:
        if how.probabilities is None:
            return explained
        count = len(row.places)
        figures: Sequence[pb.Faithfulness | None]
        try:
            figures = measured(
                self.network,
                self.inputs([row]),
                explained.targets[:count],
                explained.maps[:count],
                probabilities=how.probabilities,
                counter=row.counter,
                black=self._black,
                until=min(how.until, monotonic() + how.silence),
            )
        except TimeoutError:
            figures = [None] * count
        return replace(explained, faithfulness=tuple(figures))


def _in_time(how: Explaining) -> dict[str, Any]:
    """The options, with no more budget than time."""
    options = dict(how.options)
    if how.until < float("inf") and anytime(how.method):
        share = 1.0 if how.probabilities is None else 1 - _MEASURING
        left = max(share * (how.until - monotonic()), _LEAST)
        options["budget"] = min(options.get("budget") or left, left)
    return options


def _show(watcher: Callable[[Stand], bool], rows: Sequence[Row], progress: saliency.Progress) -> bool:
    """Shows a watcher the targets in the order of the request."""
    found = sorted((place, row, k) for row, each in enumerate(rows) for k, place in enumerate(each.places))
    spots = [(row, k) for _, row, k in found]

    def maps() -> list[Tensor]:
        made = progress.maps().cpu()
        return [made[spot] for spot in spots]

    values = [] if progress.objectives is None else progress.objectives.tolist()
    return watcher(Stand(progress.step, progress.steps, [values[row][k] for row, k in spots] if values else [], maps))


def anytime(method: str) -> bool:
    """Whether a method can be cut short."""
    return any(option.name == "budget" for option in saliency.method(method).options())


def padded(texts: Sequence[Sequence[int]], pad: int) -> Tensor:
    """Token ids as a batch, int64 ``[B, T]``, filled up on the right.

    T is a power of two, at least 8: what is found out of a network for inputs of one size is remembered, and so there
    are few sizes.
    """
    length = _SHORTEST
    while length < max(map(len, texts)):
        length *= 2
    return torch.tensor([[*text, *[pad] * (length - len(text))] for text in texts])


def _parts(rows: Sequence[Row], count: int) -> Iterator[Sequence[Row]]:
    """Rows with so many targets each, in parts of at most :data:`MAPS` maps, or of one row."""
    step = max(1, MAPS // count)
    return (rows[start : start + step] for start in range(0, len(rows), step))
