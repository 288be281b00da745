"""Train the blind network for scenes from a seed: ``python -m evaluation.audits.walls.train``.

The convolutions learn the shapes first, under global average pooling and at half the resolution, where a shape found
anywhere teaches all places. Then the whole network learns, with its dense layers, what is above the wall.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

# One drawing process per core: threads inside each would only get in each other's way. Read when numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from evaluation.audits.walls.network import MaskedVGG, build, save_weights
from evaluation.audits.walls.pictures import stacked_scenes
from model_store.scenes.dataset import TRAINING_SEEDS
from model_store.scenes.drawing import masks
from model_store.scenes.scene import Scene
from model_store.scenes.training.fit import SIDE, draw_training_set, fit, picture_stages, scenes_of
from model_store.scenes.vocabulary import SHAPES

WEIGHTS: Final = Path(__file__).parent / "store" / "masked-vgg" / "weights.safetensors"
KINDS: Final = ("one-class", "two-class")
COARSE_RATE, RATE = 4e-3, 2e-3  # peaks
HEAD_SPEED: Final = 3  # the pooled head learns faster by this
SEEN_SHARE: Final = 0.5
"""An object is taken to be above the wall if at least this share of what is visible of it is."""


def main() -> None:
    """Draw, train, save, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of the order of the scenes")
    parser.add_argument("--scenes", type=int, default=16_000, help="training scenes")
    parser.add_argument("--coarse-epochs", type=int, default=6, help="passes of the convolutions at half resolution")
    parser.add_argument("--epochs", type=int, default=2, help="passes of the whole network, afterwards")
    parser.add_argument("--held-out", type=int, default=1_000, help="pictures for the accuracy")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that draw scenes")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="where the weights go, as float16")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    model = build()
    examples = draw_training_set(KINDS, args.scenes, args.workers)
    train_convolutions(model, examples.images, torch.from_numpy(examples.targets), args.coarse_epochs)
    scenes = scenes_of(KINDS, TRAINING_SEEDS[: args.scenes])
    targets = torch.from_numpy(np.stack([above(scene, model.wall) for scene in scenes]))
    train(model, examples.images, targets, args.epochs)
    save_weights(model, args.out)
    sys.stdout.write(
        f"weights: {args.out} ({args.out.stat().st_size / 2**20:.2f} MiB)\n"
        f"accuracy on {args.held_out} held-out stacked pictures: {accuracy(model, args.held_out):.3f}\n"
    )


def train_convolutions(model: MaskedVGG, images: NDArray[np.uint8], targets: Tensor, epochs: int) -> None:
    """Fit the convolutions to what is anywhere in the picture."""
    head = nn.Linear(model.channels, len(SHAPES))
    pooled = nn.Sequential(model.features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    groups = [(model.features, COARSE_RATE), (head, COARSE_RATE * HEAD_SPEED)]
    _fit(pooled, images, targets, groups, coarse_epochs=epochs, epochs=0)


def train(model: MaskedVGG, images: NDArray[np.uint8], targets: Tensor, epochs: int) -> None:
    """Fit the whole network to what is above the wall, on the pictures in which anything is."""
    useful = targets.sum(1) > 0
    _fit(model, images[useful.numpy()], targets[useful], [(model, RATE)], coarse_epochs=0, epochs=epochs)


def above(scene: Scene, wall: int) -> NDArray[np.float32]:
    """Equal shares, float32 `[classes]`, for the classes of the objects above the wall; zeros if there is none."""
    visible = masks(scene, SIDE, SIDE)
    seen = visible[:, :wall].sum((1, 2)) >= SEEN_SHARE * visible.sum((1, 2))
    present = np.isin(SHAPES, [item.shape for item, own in zip(scene.objects, seen, strict=True) if own])
    target: NDArray[np.float32] = (present / max(1, present.sum())).astype(np.float32)
    return target


@torch.no_grad()
def accuracy(model: MaskedVGG, count: int) -> float:
    """Share of stacked pictures whose object above the wall is recognised."""
    pictures = stacked_scenes(count, SIDE, model.wall)
    logits = torch.cat([model((images - 0.5) / 0.25) for images in torch.split(pictures.images, 100)])
    return float((logits.argmax(1) == pictures.above).float().mean())


def _fit(
    model: nn.Module,
    images: NDArray[np.uint8],
    targets: Tensor,
    groups: Sequence[tuple[nn.Module, float]],
    *,
    coarse_epochs: int,
    epochs: int,
) -> None:
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)

    def loss_of(pictures: Tensor, batch: Tensor, _mirrored: Tensor) -> Tensor:
        # Which colour is red moves no class.
        return cast(Tensor, criterion(model(pictures[:, torch.randperm(3)]), targets[batch]))

    rates = [(list(part.parameters()), rate) for part, rate in groups]
    fit(model, len(images), picture_stages(images, coarse_epochs, epochs), loss_of, groups=rates)


if __name__ == "__main__":
    main()
