"""Train the scenes captioner and the scenes answerer together, from a seed, and report how they do on held-out scenes.

Run from the root: ``python -m model_store.scenes.train_language``. Takes about half an hour on two idle cores. Both
learn to look through one encoder, whose trunk begins as the classifier's; each keeps a copy of it.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

# One drawing process per core: threads inside each would only get in each other's way. Read when numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torch.nn.utils.rnn import pad_sequence

from model_store.scenes import held_out_answers, held_out_captions
from model_store.scenes.answerer import ScenesAnswerer
from model_store.scenes.captioner import ScenesCaptioner
from model_store.scenes.dataset import HELD_OUT_SEEDS, TRAINING_SEEDS
from model_store.scenes.drawing import masks
from model_store.scenes.language import Question, ask, describe
from model_store.scenes.scene import MAX_OBJECTS, Scene
from model_store.scenes.training import BatchLoss, draw_training_set, fit, scenes_of
from model_store.scenes.vocabulary import ANSWERS, CAPTION_WORDS, QUESTION_WORDS
from model_store.words import END, PAD, Words

STORE = Path(__file__).resolve().parents[1]
KINDS = ["one-class", "two-class", "general", "two-class", "crowded"]
ASKED = ["colour", "colour", "shape", "shape", "existence", "existence", "existence", "count", "count", "relation"]
POOL, DRAWN = 20, 3  # questions drawn for a scene, and those of them that each visit asks
TRUNK_RATE, HEAD_RATE = 1e-3, 3e-3
MAX_NORM = 5.0
EVIDENCE_SHARE, SILENCE_SHARE = 15.0, 0.5  # of the loss; the first is a mean over words of which few are wanted
_QUESTION_STREAM = 7  # of a scene's seed


def main() -> None:
    """Draw, train, save, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of the order of the scenes")
    parser.add_argument("--held-out", type=int, default=1_000, help="held-out scenes of each kind")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that draw scenes")
    parser.add_argument("--scenes", type=int, default=36_000, help="training scenes")
    parser.add_argument("--coarse-epochs", type=int, default=4, help="passes over them at half the resolution")
    parser.add_argument("--epochs", type=int, default=2, help="passes over them at full resolution, afterwards")
    parser.add_argument("--out", type=Path, default=STORE, help="folder of the models' folders")
    args = parser.parse_args()

    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)
    captioner, answerer = ScenesCaptioner(), ScenesAnswerer()
    answerer.encoder = captioner.encoder
    state = load_file(STORE / "scenes-classifier" / "weights.safetensors")
    captioner.encoder.trunk.load_state_dict({name: state[name] for name in captioner.encoder.trunk.state_dict()})
    examples = draw_training_set(KINDS, args.scenes, args.workers)
    train(captioner, answerer, examples.images, args.coarse_epochs, args.epochs)
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


def train(
    captioner: ScenesCaptioner, answerer: ScenesAnswerer, images: NDArray[np.uint8], coarse_epochs: int, epochs: int
) -> None:
    """Fit both models in place to captions of the first training scenes, as drawn, and to questions about them."""
    both = nn.ModuleList([captioner, answerer])
    heads = [parameter for name, parameter in both.named_parameters() if not name.startswith("0.encoder.trunk.")]
    fit(
        both,
        images,
        language_loss(captioner, answerer, scenes_of(KINDS, TRAINING_SEEDS[: len(images)])),
        coarse_epochs=coarse_epochs,
        epochs=epochs,
        groups=[(list(captioner.encoder.trunk.parameters()), TRUNK_RATE), (heads, HEAD_RATE)],
        max_norm=MAX_NORM,
    )


def language_loss(captioner: ScenesCaptioner, answerer: ScenesAnswerer, scenes: Sequence[Scene]) -> BatchLoss:
    """The loss of saying what the captions of scenes say, and of answering some of the questions about them."""
    captions = _tokens([describe(scene).text for scene in scenes], CAPTION_WORDS, (END,))
    pools = [pool(scene) for scene in scenes]
    questions = _tokens([question.text for row in pools for question in row], QUESTION_WORDS).view(len(pools), POOL, -1)
    answers = torch.tensor([[ANSWERS.index(question.answer) for question in row] for row in pools])
    placed = place_loss(scenes)
    caption_swap, question_swap = _swapped(CAPTION_WORDS), _swapped(QUESTION_WORDS)

    def loss_of(images: Tensor, batch: Tensor, mirrored: Tensor) -> Tensor:
        features = captioner.encoder(images)
        said = captions[batch]
        said = said[:, : int((said != PAD).sum(1).max())]
        said = torch.where(mirrored[:, None], caption_swap[said], said)
        spoken = captioner.speak(features, said[:, :-1])
        chosen = torch.rand(len(batch), POOL).argsort(1)[:, :DRAWN]
        asked = questions[batch[:, None], chosen]
        asked = torch.where(mirrored[:, None, None], question_swap[asked], asked)
        answered = answerer.answers(features, asked.flatten(0, 1))
        return (
            cross_entropy(spoken.flatten(0, 1), said.flatten(), ignore_index=PAD)
            + cross_entropy(answered, answers[batch[:, None], chosen].flatten())
            + placed(features, captioner.words_at(features), batch, mirrored)
        )

    return loss_of


def place_loss(scenes: Sequence[Scene]) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """The loss of what is at each place: evidence for the words that name the object there, and for no others.

    Where there is no object the encoder shall be silent. Attention reads few places; what the others hold would make no
    difference to any answer, but maps would show it.
    """
    words = Words(CAPTION_WORDS)
    owners = {side: torch.from_numpy(np.stack([_owners(scene, side) for scene in scenes])) for side in (7, 14)}
    named = torch.zeros(len(scenes), MAX_OBJECTS + 1, len(words))  # the last object is none
    for row, scene in zip(named, scenes, strict=True):
        for place, item in enumerate(scene.objects):
            row[place, words.encode([item.size, item.colour, item.shape])] = 1

    def loss_of(features: Tensor, evidence: Tensor, batch: Tensor, mirrored: Tensor) -> Tensor:
        here = owners[features.shape[2]][batch].long()
        here = torch.where(mirrored[:, None, None], here.flip(2), here)
        wanted = named[batch[:, None, None], here]
        noise = features.square().mean(1)[here < 0].mean()
        return EVIDENCE_SHARE * binary_cross_entropy_with_logits(evidence, wanted) + SILENCE_SHARE * noise

    return loss_of


def _owners(scene: Scene, side: int) -> NDArray[np.int8]:
    """Which object is seen at the middle of each cell, int8 `[side, side]`; -1 for none."""
    visible = masks(scene, side, side)
    return np.where(visible.any(0), visible.argmax(0), -1).astype(np.int8)


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
