"""Train the scenes captioner and the scenes answerer, from a seed, and report how they do on held-out scenes.

Run from the root: ``python -m model_store.scenes.train_language``. Takes about three quarters of an hour on two idle
cores. First the encoder learns to tell at each place what is there; its trunk begins as the classifier's. Then it stays
as it is, and both models learn to speak of what it sees; each keeps a copy of it.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

# One drawing process per core: threads inside each would only get in each other's way. Read when numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from model_store.scenes import held_out_answers, held_out_captions
from model_store.scenes.answerer import NAMES, ScenesAnswerer
from model_store.scenes.captioner import ScenesCaptioner
from model_store.scenes.dataset import HELD_OUT_SEEDS, TRAINING_SEEDS
from model_store.scenes.encoder import FEATURES, Encoder
from model_store.scenes.language import Question, ask, describe
from model_store.scenes.naming import Naming
from model_store.scenes.scene import Scene
from model_store.scenes.training import (
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
from model_store.scenes.vocabulary import ANSWERS, CAPTION_WORDS, QUESTION_WORDS
from model_store.words import END, PAD, Words

STORE = Path(__file__).resolve().parents[1]
KINDS = ["one-class", "two-class", "general", "two-class", "crowded"]
ASKED = ["colour", "colour", "shape", "shape", "existence", "existence", "existence", "count", "count", "relation"]
POOL, DRAWN = 20, 2  # questions drawn for a scene, and those of them that each visit asks
TRUNK_RATE, RATE = 1e-3, 3e-3
SILENCE_SHARE = 0.1  # of a loss: features, or evidence for words, where there is nothing
MAX_NORM = 5.0
NAMING_SHARE = 5.0  # of the models' loss; it is a mean over words of which few are wanted
UNNAMED = -6.0  # what is added to the evidence for a word: most places are not of its kind
_QUESTION_STREAM = 7  # of a scene's seed


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
        "--caption-epochs", type=int, default=12, help="the captioner's, with the encoder as it is then"
    )
    parser.add_argument("--answer-epochs", type=int, default=8, help="the answerer's, likewise")
    parser.add_argument("--out", type=Path, default=STORE, help="folder of the models' folders")
    args = parser.parse_args()

    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)
    encoder = Encoder()
    state = load_file(STORE / "scenes-classifier" / "weights.safetensors")
    encoder.trunk.load_state_dict({name: state[name] for name in encoder.trunk.state_dict()})
    images = draw_training_set(KINDS, args.scenes, args.workers).images
    scenes = scenes_of(KINDS, TRAINING_SEEDS[: args.scenes])
    train_encoder(encoder, images, scenes, args.coarse_epochs, args.epochs)
    seen = look(encoder, images)
    torch.manual_seed(args.seed)
    captioner = ScenesCaptioner()
    captioner.encoder.load_state_dict(encoder.state_dict())
    train_language(captioner, seen, caption_loss(captioner, scenes), args.caption_epochs)
    torch.manual_seed(args.seed)
    answerer = ScenesAnswerer()
    answerer.encoder.load_state_dict(encoder.state_dict())
    train_language(answerer, seen, answer_loss(answerer, scenes), args.answer_epochs)
    save(captioner, args.out / "scenes-captioner" / "weights.safetensors")
    save(answerer, args.out / "scenes-vqa" / "weights.safetensors")
    seeds = HELD_OUT_SEEDS[: args.held_out]
    print("\nheld-out scenes: words of captions that are right, by what they say")
    print(held_out_captions.measure(captioner, seeds, args.workers))
    print("\nheld-out scenes: questions answered right")
    print(held_out_answers.measure(answerer, seeds, args.workers))


def save(model: nn.Module, file: Path) -> None:
    """Write the weights in half precision, which loses nothing that can be measured."""
    file.parent.mkdir(parents=True, exist_ok=True)
    state = model.state_dict()
    halves = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    save_file({key: value.contiguous() for key, value in halves.items()}, file)
    print(f"weights: {file} ({file.stat().st_size / 2**20:.2f} MiB)")


def train_encoder(
    encoder: Encoder, images: NDArray[np.uint8], scenes: Sequence[Scene], coarse_epochs: int, epochs: int
) -> None:
    """Fit an encoder in place, so that one linear layer can name what it sees at each place."""
    names = nn.Conv2d(FEATURES, len(Words(CAPTION_WORDS)), 1)
    both = nn.ModuleList([encoder, names])
    others = [parameter for name, parameter in both.named_parameters() if not name.startswith("0.trunk.")]
    fit(
        both,
        len(images),
        picture_stages(images, coarse_epochs, epochs),
        naming_loss(encoder, names, scenes),
        groups=[(list(encoder.trunk.parameters()), TRUNK_RATE), (others, RATE)],
    )


def naming_loss(encoder: Encoder, names: nn.Module, scenes: Sequence[Scene]) -> BatchLoss:
    """The loss of naming what is at each place, and of features where there is nothing.

    Attention reads few places; what the others hold would make no difference to any answer, but maps would show it.
    """
    naming = Naming(scenes, Words(CAPTION_WORDS).table)

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
    seen = []
    progress = Progress("looking", len(images))
    for start in range(0, len(images), BATCH):
        pictures = normalise(images[start : start + BATCH]).contiguous(memory_format=torch.channels_last)
        seen.append(torch.stack([encoder(pictures), encoder(pictures.flip(3))]).half())
        progress.advance(len(pictures))
    return torch.cat(seen, 1)


def caption_loss(captioner: ScenesCaptioner, scenes: Sequence[Scene]) -> BatchLoss:
    """The loss of saying what the captions of scenes say, and of what words are seen where."""
    captions = _tokens([describe(scene).text for scene in scenes], CAPTION_WORDS, (END,))
    naming = Naming(scenes, Words(CAPTION_WORDS).table)
    swap = _swapped(CAPTION_WORDS)

    def loss_of(features: Tensor, batch: Tensor, mirrored: Tensor) -> Tensor:
        said = captions[batch]
        said = said[:, : int((said != PAD).sum(1).max())]
        said = torch.where(mirrored[:, None], swap[said], said)
        spoken = captioner.speak(features, said[:, :-1])
        right = cross_entropy(spoken.flatten(0, 1), said.flatten(), ignore_index=PAD)
        return right + _placed(naming, captioner.words_at(features), batch, mirrored)

    return loss_of


def answer_loss(answerer: ScenesAnswerer, scenes: Sequence[Scene]) -> BatchLoss:
    """The loss of answering some of the questions about scenes, and of what names are seen where."""
    pools = [pool(scene) for scene in scenes]
    questions = _tokens([question.text for row in pools for question in row], QUESTION_WORDS).view(len(pools), POOL, -1)
    answers = torch.tensor([[ANSWERS.index(question.answer) for question in row] for row in pools])
    naming = Naming(scenes, NAMES)
    swap = _swapped(QUESTION_WORDS)

    def loss_of(features: Tensor, batch: Tensor, mirrored: Tensor) -> Tensor:
        chosen = torch.rand(len(batch), POOL).argsort(1)[:, :DRAWN]
        asked = questions[batch[:, None], chosen]
        asked = torch.where(mirrored[:, None, None], swap[asked], asked)
        answered = answerer.answers(features, asked.flatten(0, 1))
        right = cross_entropy(answered, answers[batch[:, None], chosen].flatten())
        return right + _placed(naming, answerer.names_at(features), batch, mirrored)

    return loss_of


def _placed(naming: Naming, evidence: Tensor, batch: Tensor, mirrored: Tensor) -> Tensor:
    """The loss of evidence at the wrong places: attention reads few places, and maps show all of them."""
    named = naming.loss(evidence + UNNAMED, batch, mirrored)
    return NAMING_SHARE * named + SILENCE_SHARE * naming.noise(evidence.movedim(3, 1), batch, mirrored)


def pool(scene: Scene) -> list[Question]:
    """Questions about a scene, of the kinds in `ASKED` by turns, drawn from the scene's seed."""
    rng = np.random.default_rng([scene.seed, _QUESTION_STREAM])
    found: list[Question] = []
    turn = 0
    while len(found) < POOL:
        question = ask(scene, ASKED[turn % len(ASKED)], rng)
        turn += 1
        if question is not None:
            found.append(question)
    return found


def _tokens(texts: Sequence[str], vocabulary: Sequence[str], ends: tuple[int, ...] = ()) -> Tensor:
    """Ids of texts, int64 `[n, T]`, padded."""
    words = Words(vocabulary)
    rows = [torch.tensor([*words.encode(words.split(text)), *ends]) for text in texts]
    return pad_sequence(rows, batch_first=True, padding_value=PAD)


def _swapped(vocabulary: Sequence[str]) -> Tensor:
    """The id of each word where the picture is mirrored, int64 `[words]`."""
    words = Words(vocabulary)
    swap = torch.arange(len(words))
    left, right = words.encode(["left", "right"])
    swap[left], swap[right] = right, left
    return swap


if __name__ == "__main__":
    main()
