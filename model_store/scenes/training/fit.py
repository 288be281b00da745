"""Fitting a network to drawn scenes: at half the resolution, which is four times as fast, and then at the full."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from model_store.scenes.dataset import KINDS, TRAINING_SEEDS, Examples, collect, draw_examples
from model_store.scenes.scene import Scene

SIDE = 112
"""Width and height of the scenes models' input."""

BATCH = 64
_WEIGHT_DECAY = 0.02

BatchLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Loss of a batch, from its images, which examples they are and which are mirrored left to right, `[BATCH]` each."""


def normalise(images: NDArray[np.uint8]) -> Tensor:
    """Turn RGB `[n, h, w, 3]` into the models' input, float32 `[n, 3, h, w]`."""
    planes = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    return (planes / 255 - 0.5) / 0.25


def draw_training_set(kinds: Sequence[str], count: int, workers: int) -> Examples:
    """Draw the first training scenes, whose kinds take turns, and print progress."""
    chunks = []
    progress = Progress("drawing", count)
    for chunk in draw_examples(kinds, TRAINING_SEEDS[:count], SIDE, workers):
        chunks.append(chunk)
        progress.advance(len(chunk.images))
    return collect(iter(chunks))


def scenes_of(kinds: Sequence[str], seeds: Sequence[int]) -> list[Scene]:
    """The scenes that `draw_examples` draws for the same arguments."""
    return [KINDS[kinds[index % len(kinds)]](seed) for index, seed in enumerate(seeds)]


@dataclass(frozen=True)
class Stage:
    """A part of a training.

    Attributes:
        name: Of the stage, for the progress.
        epochs: Passes over the examples.
        inputs: The inputs `[BATCH, ...]` of the examples with some indexes, where those that shall be are mirrored left
            to right.
    """

    name: str
    epochs: int
    inputs: Callable[[Tensor, Tensor], Tensor]


def picture_stages(images: NDArray[np.uint8], coarse_epochs: int, epochs: int) -> list[Stage]:
    """Passes over RGB images, uint8 `[n, side, side, 3]`, at half the resolution and then at the full one."""

    def pictures(batch: Tensor, mirrored: Tensor, shrink: int) -> Tensor:
        found = normalise(images[batch.numpy()])
        found[mirrored] = found[mirrored].flip(3)
        return avg_pool2d(found.contiguous(memory_format=torch.channels_last), shrink)

    return [
        Stage("coarse training", coarse_epochs, partial(pictures, shrink=2)),
        Stage("training", epochs, partial(pictures, shrink=1)),
    ]


def fit(
    model: nn.Module,
    count: int,
    stages: Sequence[Stage],
    loss_of: BatchLoss,
    *,
    groups: Sequence[tuple[Sequence[nn.Parameter], float]],
    max_norm: float = math.inf,
) -> None:
    """Fit a model in place, printing progress, and leave it in evaluation mode.

    Args:
        model: What to fit.
        count: Examples.
        stages: What it is shown, one after the other; half of every batch is mirrored.
        loss_of: The loss of a batch.
        groups: Parameters and the peak of their learning rate.
        max_norm: Longer gradients are cut to this; recurrent networks need it.
    """
    model.train().to(memory_format=torch.channels_last)
    parameters = [parameter for part, _ in groups for parameter in part]
    steps_per_epoch = count // BATCH
    optimizer = torch.optim.AdamW([{"params": list(part)} for part, _ in groups], weight_decay=_WEIGHT_DECAY)
    steps = sum(stage.epochs for stage in stages) * steps_per_epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [rate for _, rate in groups], total_steps=steps, pct_start=0.15
    )
    for stage in stages:
        progress = Progress(stage.name, stage.epochs * steps_per_epoch * BATCH)
        for batch in _batches(count, stage.epochs):
            mirrored = torch.rand(BATCH) < 0.5
            loss = loss_of(stage.inputs(batch, mirrored), batch, mirrored)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, max_norm)
            optimizer.step()
            schedule.step()
            progress.advance(BATCH, f"loss {loss.item():.3f}")
    model.eval()


def _batches(count: int, epochs: int) -> Iterator[Tensor]:
    """Indexes of full batches in a new random order each epoch."""
    for _ in range(epochs):
        yield from torch.randperm(count)[: count // BATCH * BATCH].view(-1, BATCH)


class Progress:
    """Prints how far a stage is and how long it will still take, every ten seconds.

    Args:
        stage: Its name.
        total: Items in it.
    """

    def __init__(self, stage: str, total: int) -> None:
        self._stage, self._total, self._done = stage, total, 0
        self._start = self._printed = time.monotonic()

    def advance(self, items: int, note: str = "") -> None:
        """Count items as done."""
        self._done += items
        now = time.monotonic()
        if now - self._printed < 10 and self._done < self._total:
            return
        self._printed = now
        rate = self._done / (now - self._start)
        left = (self._total - self._done) / rate
        print(f"{self._stage} {self._done}/{self._total}  {rate:.0f}/s  {left:.0f} s left  {note}", flush=True)
