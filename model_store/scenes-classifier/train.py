"""Train the scenes classifier from a seed and report how it does on held-out scenes.

Run from anywhere: ``python model_store/scenes-classifier/train.py``. Takes about a quarter of an hour on two idle
cores.

Most passes over the scenes are made at half the resolution, which is four times as fast: the shapes are learnt there,
and the last passes at full resolution add the small ones.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# One drawing process per core: threads inside each would only get in each other's way. Read when numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]  # the model beside this file, and the package `model_store`

import torch  # noqa: E402
from held_out import SIDE, measure, normalise  # noqa: E402
from model import build  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import avg_pool2d  # noqa: E402

from model_store.scenes.dataset import (  # noqa: E402
    HELD_OUT_SEEDS,
    TRAINING_SEEDS,
    Examples,
    collect,
    draw_examples,
)

MIXTURE = ["one-class", "two-class", "one-class", "two-class", "two-class", "general"]
BATCH = 64
PEAK_LEARNING_RATE = 4e-3
HEAD_SPEED = 3  # the head learns faster by this: pooling leaves it small values where the object is small
WEIGHT_DECAY = 0.02
LABEL_SMOOTHING = 0.12  # also what keeps the probabilities away from 1


def main() -> None:
    """Draw, train, save, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of the order of the scenes")
    parser.add_argument("--scenes", type=int, default=40_000, help="training scenes")
    parser.add_argument("--coarse-epochs", type=int, default=10, help="passes over them at half the resolution")
    parser.add_argument("--epochs", type=int, default=4, help="passes over them at full resolution, afterwards")
    parser.add_argument("--held-out", type=int, default=2_000, help="held-out scenes of each kind")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that draw scenes")
    parser.add_argument("--out", type=Path, default=HERE / "weights.safetensors", help="where the weights go")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    model = build()
    train(model, draw_training_set(args.scenes, args.workers), args.coarse_epochs, args.epochs)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, args.out)
    print(f"weights: {args.out} ({args.out.stat().st_size / 2**20:.2f} MiB)")
    seeds = HELD_OUT_SEEDS[: args.held_out]
    print(f"\nheld-out scenes, {len(seeds)} of each kind (maps on the first 500)")
    print(measure(model, seeds, seeds[:500], args.workers))


def draw_training_set(count: int, workers: int) -> Examples:
    """Draw the training scenes, printing progress."""
    chunks = []
    progress = Progress("drawing", count)
    for chunk in draw_examples(MIXTURE, TRAINING_SEEDS[:count], SIDE, workers):
        chunks.append(chunk)
        progress.advance(len(chunk.images))
    return collect(iter(chunks))


def train(model: nn.Module, examples: Examples, coarse_epochs: int, epochs: int) -> None:
    """Fit the model in place, printing progress, and leave it in evaluation mode."""
    model.train().to(memory_format=torch.channels_last)
    steps_per_epoch = len(examples.images) // BATCH
    rates = [PEAK_LEARNING_RATE, PEAK_LEARNING_RATE * HEAD_SPEED]
    head = list(model.get_submodule("head").parameters())
    trunk = [parameter for name, parameter in model.named_parameters() if not name.startswith("head.")]
    optimizer = torch.optim.AdamW([{"params": trunk}, {"params": head}], weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rates, total_steps=(coarse_epochs + epochs) * steps_per_epoch, pct_start=0.15
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
    for stage, passes, shrink in (("coarse training", coarse_epochs, 2), ("training", epochs, 1)):
        progress = Progress(stage, passes * steps_per_epoch * BATCH)
        for batch in batches(len(examples.images), passes):
            images, targets = pick(examples, batch)
            loss = loss_of(model(avg_pool2d(images, shrink)), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            progress.advance(BATCH, f"loss {loss.item():.3f}")
    model.eval()


def batches(count: int, epochs: int) -> Iterator[Tensor]:
    """Indexes of full batches in a new random order each epoch."""
    for _ in range(epochs):
        yield from torch.randperm(count)[: count // BATCH * BATCH].view(-1, BATCH)


def pick(examples: Examples, indexes: Tensor) -> tuple[Tensor, Tensor]:
    """A batch, half of it mirrored left to right, with its colour channels swapped at random: neither moves a class."""
    images = normalise(examples.images[indexes.numpy()])
    mirrored = torch.rand(len(images)) < 0.5
    images[mirrored] = images[mirrored].flip(3)
    batch = images[:, torch.randperm(3)].contiguous(memory_format=torch.channels_last)
    return batch, torch.from_numpy(examples.targets[indexes.numpy()])


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


if __name__ == "__main__":
    main()
