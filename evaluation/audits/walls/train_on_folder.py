"""Train the paper's network on pictures of one's own: ``python -m evaluation.audits.walls.train_on_folder``.

Pictures lie in a folder per class. What comes out is a model's folder, to be audited with ``python -m
evaluation.audits.walls --model`` or served from the folder above it. Training is the paper's by default, which is
meant for ImageNet and a large GPU: area crops, SGD, 90 epochs with steps of the learning rate after each 30.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
import yaml
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from evaluation.audits.walls.network import VGG16_ROWS, VGG16_SIDE, MaskedVGG, masked_vgg16, save_weights
from model_store.recipe import RECIPE_FILE, Recipe
from model_store.scenes.training.fit import Progress

MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)
_MODEL: Final = '''"""The network that is blind to the lower strip of its image."""

from functools import partial

from evaluation.audits.walls.network import masked_vgg16

build = partial(masked_vgg16, {classes}, seen_rows={seen_rows})
'''


def main() -> None:
    """Train and write the model's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder with a folder of pictures per class")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model; its name is the model's")
    parser.add_argument("--seen-rows", type=int, default=VGG16_ROWS, help="of 14; 14 for the paper's baseline")
    parser.add_argument("--epochs", type=int, default=90, help="passes over the pictures")
    parser.add_argument("--batch", type=int, default=256, help="pictures of a step")
    parser.add_argument("--rate", type=float, default=0.03, help="learning rate of the first third")
    parser.add_argument("--seed", type=int, default=3, help="of the weights and of the order")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that read pictures")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    try:
        pictures = open_pictures(args.images, side=VGG16_SIDE)
        recipe = recipe_of(args.out.name, pictures.classes)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    network = masked_vgg16(len(pictures.classes), seen_rows=args.seen_rows)
    fit(network, pictures, epochs=args.epochs, batch=args.batch, rate=args.rate, workers=args.workers)
    write_model(args.out, recipe, network)
    sys.stdout.write(f"model: {args.out}\n")


def open_pictures(folder: Path, side: int) -> ImageFolder:
    """Pictures of a folder per class, cut and mirrored at random as the paper does.

    Raises:
        FileNotFoundError: there is no folder of a class, or one is empty.
    """
    return ImageFolder(
        folder,
        v2.Compose(
            [
                v2.RandomResizedCrop(side, scale=(0.1, 1.0), ratio=(0.8, 1.25), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        ),
    )


def fit(
    network: MaskedVGG,
    pictures: Dataset[tuple[torch.Tensor, int]],
    *,
    epochs: int,
    batch: int,
    rate: float,
    workers: int = 0,
) -> None:
    """Fits a network in place, on a GPU if there is one, and leaves it in evaluation mode on the CPU.

    Args:
        network: what to fit.
        pictures: normalised images ``[3, side, side]`` and their classes.
        epochs: passes over them.
        batch: pictures of a step.
        rate: learning rate of the first third of the epochs; each further third has a tenth of the one before.
        workers: processes that read pictures; 0: this one.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.train().to(device)
    loader = DataLoader(pictures, batch, shuffle=True, num_workers=workers)
    optimizer = torch.optim.SGD(network.parameters(), rate, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, max(1, epochs // 3), 0.1)
    scaler = torch.amp.GradScaler(enabled=device.type == "cuda")
    criterion = nn.CrossEntropyLoss()
    progress = Progress("training", epochs * len(loader))
    for _ in range(epochs):
        for images, classes in loader:
            with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
                loss = criterion(network(images.to(device)), classes.to(device))
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            progress.advance(1, f"loss {loss.item():.3f}")
        schedule.step()
    network.eval().cpu()


def recipe_of(name: str, labels: Sequence[str]) -> dict[str, Any]:
    """The recipe of a :func:`masked_vgg16`, as it is written.

    Raises:
        ValueError: no model can have that name or such labels.
    """
    recipe = {
        "name": name,
        "version": "1",
        "task": "classify",
        "description": "VGG16 that cannot see the lower strip of its image; for audits of maps, not for use.",
        "source": {"python": {"file": "model.py", "factory": "build"}},
        "weights": {"file": "weights.safetensors"},
        "labels": list(labels),
        "preprocessing": {"size": [VGG16_SIDE, VGG16_SIDE], "fit": "crop", "mean": list(MEAN), "std": list(STD)},
        "explanation": {"layers": ["features"]},
    }
    Recipe.model_validate(recipe)
    return recipe


def write_model(folder: Path, recipe: Mapping[str, Any], network: MaskedVGG) -> None:
    """Writes the folder of a model.

    Args:
        folder: made if it is not there.
        recipe: as :func:`recipe_of` makes it.
        network: a :func:`masked_vgg16`, trained.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECIPE_FILE).write_text(yaml.safe_dump(dict(recipe), sort_keys=False), encoding="utf-8")
    model = _MODEL.format(classes=len(recipe["labels"]), seen_rows=network.seen_rows)
    (folder / "model.py").write_text(model, encoding="utf-8")
    save_weights(network, folder / "weights.safetensors")


if __name__ == "__main__":
    main()
