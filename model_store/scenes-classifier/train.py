"""Train the scenes classifier from a seed and report how it does on held-out scenes.

Run from anywhere: ``python model_store/scenes-classifier/train.py``. Takes about a quarter of an hour on two idle
cores. The shapes are learnt at half the resolution, and the last passes at the full one add the small ones.

Version 2 is version 1 trained further with the loss of interpretable gradients, which takes as long: ``--start
model_store/scenes-classifier/weights.safetensors --gradient-weight 0.3 --learning-rate 1e-3 --scenes 30000
--coarse-epochs 0 --epochs 1 --out model_store/scenes-classifier-2/weights.safetensors``.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import cast

# One drawing process per core: threads inside each would only get in each other's way. Read when numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]  # the model beside this file, and the package `model_store`

import torch  # noqa: E402
from held_out import measure  # noqa: E402
from model import build  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from model_store.scenes.dataset import HELD_OUT_SEEDS, Examples  # noqa: E402
from model_store.scenes.training.fit import draw_training_set, fit, picture_stages  # noqa: E402
from saliency.interpretable import interpretable_loss  # noqa: E402

MIXTURE = ["one-class", "two-class", "one-class", "two-class", "two-class", "general"]
PEAK_LEARNING_RATE = 4e-3
HEAD_SPEED = 3  # the head learns faster by this: pooling leaves it small values where the object is small
LABEL_SMOOTHING = 0.12  # also what keeps the probabilities away from 1


def main() -> None:
    """Draw, train, save, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of the order of the scenes")
    parser.add_argument("--scenes", type=int, default=40_000, help="training scenes")
    parser.add_argument("--coarse-epochs", type=int, default=10, help="passes over them at half the resolution")
    parser.add_argument("--epochs", type=int, default=4, help="passes over them at full resolution, afterwards")
    parser.add_argument("--learning-rate", type=float, default=PEAK_LEARNING_RATE, help="its peak")
    parser.add_argument("--gradient-weight", type=float, default=0.0, help="of the second term of interpretable_loss")
    parser.add_argument("--start", type=Path, help="weights to go on from (default: random ones)")
    parser.add_argument("--held-out", type=int, default=2_000, help="held-out scenes of each kind")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that draw scenes")
    parser.add_argument("--out", type=Path, default=HERE / "weights.safetensors", help="where the weights go")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    model = build()
    if args.start:
        model.load_state_dict(load_file(args.start))
    examples = draw_training_set(MIXTURE, args.scenes, args.workers)
    schedule = {"coarse_epochs": args.coarse_epochs, "epochs": args.epochs, "peak": args.learning_rate}
    train(model, examples, **schedule, gradient_weight=args.gradient_weight)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, args.out)
    print(f"weights: {args.out} ({args.out.stat().st_size / 2**20:.2f} MiB)")
    seeds = HELD_OUT_SEEDS[: args.held_out]
    print(f"\nheld-out scenes, {len(seeds)} of each kind (maps on the first 500)")
    print(measure(model, seeds, seeds[:500], args.workers))


def train(
    model: nn.Module, examples: Examples, *, coarse_epochs: int, epochs: int, peak: float, gradient_weight: float
) -> None:
    """Fit the model in place; which colour is red moves no class, so channels are swapped at random."""
    targets = torch.from_numpy(examples.targets)
    criterion = nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
    head = list(model.get_submodule("head").parameters())
    trunk = [parameter for name, parameter in model.named_parameters() if not name.startswith("head.")]

    def loss_of(images: Tensor, batch: Tensor, _mirrored: Tensor) -> Tensor:
        images, wanted = images[:, torch.randperm(3)], targets[batch]
        if not gradient_weight:
            return cast(Tensor, criterion(model(images), wanted))
        # Near its minimum the smoothed loss has a gradient of either sign, which explains nothing: so the plain one's.
        return interpretable_loss(
            model, images, wanted, criterion=criterion, explained=nn.functional.cross_entropy, weight=gradient_weight
        ).total

    fit(
        model,
        len(examples.images),
        picture_stages(examples.images, coarse_epochs, epochs),
        loss_of,
        groups=[(trunk, peak), (head, peak * HEAD_SPEED)],
    )


if __name__ == "__main__":
    main()
