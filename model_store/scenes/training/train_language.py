"""Train the scenes captioner and the scenes answerer, from a seed, and report how they do on held-out scenes.

Run from the root: ``python -m model_store.scenes.training.train_language``. Takes about an hour on two idle cores.
First the encoder learns to tell at each place what is there; its trunk begins as the classifier's. Then it stays
as it is, and both models learn to speak of what it sees; each keeps a copy of it.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

# One drawing process per core: threads inside each would only get in each other's way. Read when numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model_store.scenes.dataset import HELD_OUT_SEEDS, TRAINING_SEEDS
from model_store.scenes.networks.answerer import ScenesAnswerer
from model_store.scenes.networks.captioner import ScenesCaptioner
from model_store.scenes.networks.encoder import FEATURES, STRIDE, Encoder
from model_store.scenes.scene import Scene
from model_store.scenes.training import held_out_answers, held_out_captions
from model_store.scenes.training.fit import (
    BATCH,
    BatchLoss,
    Progress,
    Stage,
    draw_training_set,
    fit,
    normalise,
    picture_stages,
    scenes_of,
)
from model_store.scenes.training.lessons import SILENCE_SHARE, answer_loss, caption_loss
from model_store.scenes.training.naming import Naming
from model_store.scenes.training.owners import Owners
from model_store.scenes.vocabulary import CAPTION_WORDS
from model_store.words import Words

STORE = Path(__file__).resolve().parents[2]
KINDS = ["one-class", "two-class", "general", "two-class", "crowded"]
TRUNK_RATE, RATE = 1e-3, 3e-3
MAX_NORM = 5.0


def main() -> None:
    """Draw, train, save, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of the order of the scenes")
    parser.add_argument("--held-out", type=int, default=1_000, help="held-out scenes of each kind")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that draw scenes")
    parser.add_argument("--scenes", type=int, default=36_000, help="training scenes")
    parser.add_argument("--coarse-epochs", type=int, default=5, help="the encoder's, at half the resolution")
    parser.add_argument("--epochs", type=int, default=3, help="the encoder's at full resolution, afterwards")
    parser.add_argument(
        "--caption-epochs", type=int, default=16, help="the captioner's, with the encoder as it is then"
    )
    parser.add_argument("--answer-epochs", type=int, default=10, help="the answerer's, likewise")
    parser.add_argument("--encoder-of", type=Path, help="weights of a captioner or answerer whose encoder is taken")
    parser.add_argument("--models", nargs="+", choices=["captioner", "answerer"], default=["captioner", "answerer"])
    parser.add_argument("--out", type=Path, default=STORE, help="folder of the models' folders")
    args = parser.parse_args()

    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)
    images = draw_training_set(KINDS, args.scenes, args.workers).images
    scenes = scenes_of(KINDS, TRAINING_SEEDS[: args.scenes])
    owners = Owners(scenes)
    encoder = Encoder()
    if args.encoder_of:
        take(encoder, load_file(args.encoder_of), "encoder.")
    else:
        take(encoder.trunk, load_file(STORE / "scenes-classifier" / "weights.safetensors"))
        train_encoder(encoder, images, scenes, owners, coarse_epochs=args.coarse_epochs, epochs=args.epochs)
    encoder.eval()
    seen = look(encoder, images)
    del images  # gigabytes too
    seeds = HELD_OUT_SEEDS[: args.held_out]
    if "captioner" in args.models:
        captioner = beginner(ScenesCaptioner, encoder, args.seed)
        train_language(captioner, seen, caption_loss(captioner, scenes, owners), args.caption_epochs)
        save(captioner, args.out / "scenes-captioner" / "weights.safetensors")
        print("\nheld-out scenes: words of captions that are right, by what they say")
        print(held_out_captions.measure(captioner, seeds, args.workers))
    if "answerer" in args.models:
        answerer = beginner(ScenesAnswerer, encoder, args.seed)
        train_language(answerer, seen, answer_loss(answerer, scenes, owners), args.answer_epochs)
        save(answerer, args.out / "scenes-vqa" / "weights.safetensors")
        print("\nheld-out scenes: questions answered right")
        print(held_out_answers.measure(answerer, seeds, args.workers))


Language = TypeVar("Language", ScenesCaptioner, ScenesAnswerer)


def beginner(build: Callable[[], Language], encoder: Encoder, seed: int) -> Language:
    """A model that is yet to learn to speak, of the seed's weights, with a copy of an encoder."""
    torch.manual_seed(seed)
    model = build()
    model.encoder.load_state_dict(encoder.state_dict())
    return model


def take(part: nn.Module, state: dict[str, Tensor], prefix: str = "") -> None:
    """Load a part's weights from those of a whole."""
    part.load_state_dict({name: state[prefix + name] for name in part.state_dict()})


def save(model: nn.Module, file: Path) -> None:
    """Write the weights in half precision, which loses nothing that can be measured."""
    file.parent.mkdir(parents=True, exist_ok=True)
    state = model.state_dict()
    halves = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    save_file({key: value.contiguous() for key, value in halves.items()}, file)
    print(f"weights: {file} ({file.stat().st_size / 2**20:.2f} MiB)")


def train_encoder(
    encoder: Encoder,
    images: NDArray[np.uint8],
    scenes: Sequence[Scene],
    owners: Owners,
    *,
    coarse_epochs: int,
    epochs: int,
) -> None:
    """Fit an encoder in place, so that one linear layer can name what it sees at each place."""
    names = nn.Conv2d(FEATURES, len(Words(CAPTION_WORDS)), 1)
    both = nn.ModuleList([encoder, names])
    others = [parameter for name, parameter in both.named_parameters() if not name.startswith("0.trunk.")]
    fit(
        both,
        len(images),
        picture_stages(images, coarse_epochs, epochs),
        naming_loss(encoder, names, scenes, owners),
        groups=[(list(encoder.trunk.parameters()), TRUNK_RATE), (others, RATE)],
    )


def naming_loss(encoder: Encoder, names: nn.Module, scenes: Sequence[Scene], owners: Owners) -> BatchLoss:
    """The loss of naming what is at each place, and of features where there is nothing.

    Attention reads few places; what the others hold would make no difference to any answer, but maps would show it.
    """
    naming = Naming(scenes, owners, Words(CAPTION_WORDS).table)

    def loss_of(images: Tensor, batch: Tensor, mirrored: Tensor) -> Tensor:
        features = encoder(images)
        evidence = names(features).movedim(1, 3)
        noise = naming.noise(features, batch, mirrored)
        return naming.loss(evidence, batch, mirrored) + SILENCE_SHARE * noise

    return loss_of


def train_language(model: ScenesCaptioner | ScenesAnswerer, seen: Tensor, loss_of: BatchLoss, epochs: int) -> None:
    """Fit a model in place to what is said of pictures; its encoder stays as it is.

    Args:
        model: What learns to speak.
        seen: What :func:`look` gives for the pictures.
        loss_of: What it learns by.
        epochs: Passes over the pictures.
    """
    learnt = [parameter for name, parameter in model.named_parameters() if not name.startswith("encoder.")]
    stage = Stage(type(model).__name__, epochs, lambda batch, mirrored: seen[mirrored.long(), batch].float())
    fit(model, seen.shape[1], [stage], loss_of, groups=[(learnt, RATE)], max_norm=MAX_NORM)


@torch.no_grad()
def look(encoder: Encoder, images: NDArray[np.uint8]) -> Tensor:
    """What an encoder in evaluation mode sees, float16 `[2, n, FEATURES, h, w]`: of the images and of their mirrors."""
    cells = images.shape[1] // STRIDE
    seen = torch.empty(2, len(images), FEATURES, cells, cells, dtype=torch.float16)  # gigabytes
    progress = Progress("looking", len(images))
    for start in range(0, len(images), BATCH):
        pictures = normalise(images[start : start + BATCH]).contiguous(memory_format=torch.channels_last)
        for side, shown in zip(seen, (pictures, pictures.flip(3)), strict=True):
            side[start : start + BATCH] = encoder(shown)
        progress.advance(len(pictures))
    return seen


if __name__ == "__main__":
    main()
