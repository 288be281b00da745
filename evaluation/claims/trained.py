"""Networks trained further from a seed, with and without the loss of interpretable gradients."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MODEL: Final = Path(__file__).resolve().parents[2] / "model_store" / "scenes-classifier"
LEARNING_RATE: Final = 1e-3
"""Its peak: a quarter of what the classifier was trained with from the start."""


@dataclass(frozen=True)
class Schedule:
    """How long a training is.

    Attributes:
        scenes: training scenes.
        coarse_epochs: passes over them at half the resolution.
        epochs: passes at full resolution, afterwards.
    """

    scenes: int = 6_400
    coarse_epochs: int = 0
    epochs: int = 1


def trained(folder: Path, seed: int, weight: float, schedule: Schedule) -> Path:
    """The weights that more training gives, kept in the folder: what an earlier run left there is not trained again.

    Args:
        folder: where weights go.
        seed: of the training.
        weight: of the distance of the gradients in the loss; 0 for standard training.
        schedule: how long it is.

    Raises:
        subprocess.CalledProcessError: training failed; its own message is on stderr.
    """
    file = folder / f"{schedule.scenes}-{schedule.coarse_epochs}-{schedule.epochs}-{weight:g}-{seed}.safetensors"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        options = {
            "seed": seed,
            "start": MODEL / "weights.safetensors",
            "learning-rate": LEARNING_RATE,
            "gradient-weight": weight,
            "scenes": schedule.scenes,
            "coarse-epochs": schedule.coarse_epochs,
            "epochs": schedule.epochs,
            "held-out": 1,  # its own report is not wanted
            "out": part,
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        subprocess.run([sys.executable, MODEL / "train.py", *arguments], stdout=sys.stderr, check=True)  # noqa: S603
        part.replace(file)
    return file
