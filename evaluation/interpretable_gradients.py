"""Training for interpretable gradients beside standard training: ``python -m evaluation.interpretable_gradients``.

Goes on training the scenes classifier both ways from several seeds, on one schedule, and prints what Figueroa et al.,
"A Learning Paradigm for Interpretable Gradients" (VISAPP 2024), report of the two. That is how version 2 was made of
version 1; the paper trains both from the start, which takes many times as long.
"""

import argparse
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file
from torch import Tensor

from evaluation.classifier import Classifier, load_classifier
from evaluation.measures.faithfulness import Protocol, faithfulness
from evaluation.methods import Contender
from evaluation.pictures.picture import Pictures
from evaluation.pictures.scenes import pictures
from model_store.scenes.classifier import build
from saliency.faithfulness import mask_of
from saliency.interpretable import interpretable_loss
from saliency.picture import forward_from_picture

MODEL: Final = Path(__file__).resolve().parents[1] / "model_store" / "scenes-classifier"
LEARNING_RATE: Final = 1e-3
"""Its peak: a quarter of what the classifier was trained with from the start."""
BATCH: Final = 16
"""Pictures that are drawn, explained and measured at a time."""
TITLES: Final = {
    "drop": "AD % ↓",
    "gain": "AG % ↑",
    "increase": "AI % ↑",
    "insertion": "insertion % ↑",
    "deletion": "deletion % ↓",
}
"""Of the fields of :class:`saliency.faithfulness.Faithfulness`."""


def trained(folder: Path, seed: int, weight: float, *, scenes: int, coarse_epochs: int, epochs: int) -> Path:
    """The weights that more training gives, kept in the folder: what an earlier run left there is not trained again.

    Args:
        folder: where weights go.
        seed: of the training.
        weight: of the distance of the gradients in the loss; 0 for standard training.
        scenes: training scenes.
        coarse_epochs: passes over them at half the resolution.
        epochs: passes at full resolution, afterwards.

    Raises:
        subprocess.CalledProcessError: training failed; its own message is on stderr.
    """
    file = folder / f"{scenes}-{coarse_epochs}-{epochs}-{weight:g}-{seed}.safetensors"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        options = {
            "seed": seed,
            "start": MODEL / "weights.safetensors",
            "learning-rate": LEARNING_RATE,
            "gradient-weight": weight,
            "scenes": scenes,
            "coarse-epochs": coarse_epochs,
            "epochs": epochs,
            "held-out": 1,  # its own report is not wanted
            "out": part,
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        subprocess.run([sys.executable, MODEL / "train.py", *arguments], stdout=sys.stderr, check=True)  # noqa: S603
        part.replace(file)
    return file


def figures(
    classifier: Classifier, contenders: Sequence[Contender], images: int, protocol: Protocol
) -> dict[str, float]:
    """Means over held-out scenes of one class, by title; the true class is explained and scored."""
    values = defaultdict(list)
    for first in range(0, images, BATCH):
        batch = pictures(["one-class"], 0, range(first, min(first + BATCH, images)), classifier.size)
        for title, rows in _of_batch(classifier, contenders, batch, protocol).items():
            values[title].append(rows)
    return {title: float(torch.cat(rows).double().mean()) for title, rows in values.items()}


def _of_batch(
    classifier: Classifier, contenders: Sequence[Contender], batch: Pictures, protocol: Protocol
) -> dict[str, Tensor]:
    mean, std = torch.tensor(classifier.mean), torch.tensor(classifier.std)
    inputs = (batch.images - mean[:, None, None]) / std[:, None, None]
    run = forward_from_picture(classifier.network, inputs)
    gradients = run.gradients(lambda outputs: outputs.gather(1, batch.labels[:, None]))[:, 0]
    with torch.no_grad():
        apart = interpretable_loss(classifier.network, inputs, batch.labels).distance
    found = {
        "accuracy % ↑": 100 * (run.outputs.argmax(1) == batch.labels),
        "total variation of the gradient ↓": total_variation(gradients),
        "cosine of gradient and guided gradient ↑": (1 - apart).expand(len(inputs)),
    }
    for contender in contenders:
        maps = mask_of(contender.maps(classifier, batch.images, batch.labels), classifier.size)
        faithful = faithfulness(
            classifier.probabilities, batch.images, maps, batch.labels, protocol=protocol, mean=mean
        )
        found |= {f"`{contender.name}`: {title}": 100 * getattr(faithful, field) for field, title in TITLES.items()}
    return found


def total_variation(gradients: Tensor) -> Tensor:
    """How noisy gradients are, whatever their size: ``Σ |g_p - g_q| / Σ |g_p|``, q to the right of p and below it.

    Args:
        gradients: ``[N, C, H, W]``, none of them zero all over.

    Returns:
        ``[N]``: from 0 for a plain area over about 2√2 for independent values of a normal distribution to 4.
    """
    right, down = (gradients.diff(dim=dim).abs().flatten(1).sum(1) for dim in (3, 2))
    return (right + down) / gradients.abs().flatten(1).sum(1)


def markdown(standard: Sequence[dict[str, float]], interpretable: Sequence[dict[str, float]]) -> str:
    """The table: over the seeds, the mean ± the standard deviation of both and of what the loss changes."""
    lines = ["| | standard | interpretable | change |", "|---|---:|---:|---:|"]
    for title in standard[0]:
        before, after = (torch.tensor([run[title] for run in runs]).double() for runs in (standard, interpretable))
        cells = [f"{v.mean():.2f} ± {v.std():.2f}" for v in (before, after)]
        change = after - before
        lines.append(f"| {title} | {cells[0]} | {cells[1]} | {change.mean():+.2f} ± {change.std():.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Trains, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind, at least 2")
    parser.add_argument("--weight", type=float, default=0.3, help="of the distance of the gradients in the loss")
    parser.add_argument("--scenes", type=int, default=6_400, help="training scenes")
    parser.add_argument("--coarse-epochs", type=int, default=0, help="passes over them at half the resolution")
    parser.add_argument("--epochs", type=int, default=1, help="passes over them at full resolution, afterwards")
    parser.add_argument("--methods", nargs="+", default=["grad-cam", "grad-cam++", "layer-cam"], help="ids")
    parser.add_argument("--images", type=int, default=192, help="held-out scenes")
    parser.add_argument("--out", type=Path, default=Path("out/interpretable-gradients"), help="folder of the results")
    args = parser.parse_args()
    if args.seeds < 2 or not args.weight > 0:
        parser.error("--seeds must be at least 2 and --weight above 0")
    schedule = {"scenes": args.scenes, "coarse_epochs": args.coarse_epochs, "epochs": args.epochs}
    contenders, protocol = [Contender.parse(text) for text in args.methods], Protocol()
    classifier = load_classifier(MODEL)
    runs: dict[float, list[dict[str, float]]] = {0.0: [], args.weight: []}
    for seed in range(args.seeds):
        for weight, found in runs.items():
            file = trained(args.out, seed, weight, **schedule)
            network = build()
            network.load_state_dict(load_file(file))
            own = replace(classifier, network=network.eval().requires_grad_(False))
            found.append(figures(own, contenders, args.images, protocol))
    text = (
        "# Interpretable gradients\n\n"
        f"The scenes classifier, trained further from {args.seeds} seeds on {args.scenes} scenes seen"
        f" {args.coarse_epochs} times at half and {args.epochs} times at full resolution, with weight 0 and"
        f" {args.weight:g} in the loss: mean ± standard deviation over the seeds, on {args.images} held-out scenes of"
        f" one class. The true class is explained and scored. Maps are laid on {protocol.mask}; insertion starts from"
        f" {protocol.insertion}, deletion ends in {protocol.deletion}, both in {protocol.steps} steps.\n\n"
        + markdown(*runs.values())
    )
    (args.out / "table.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
