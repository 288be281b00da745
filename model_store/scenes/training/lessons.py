"""What the captioner and the answerer learn by: what is said of scenes, what is seen where, and where to look."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from model_store.scenes.language import Question, ask, describe
from model_store.scenes.networks.answerer import NAMES, ScenesAnswerer
from model_store.scenes.networks.captioner import ScenesCaptioner
from model_store.scenes.scene import Scene
from model_store.scenes.training.fit import BatchLoss
from model_store.scenes.training.looking import looking_loss, wanted_by_caption, wanted_by_question, wanted_table
from model_store.scenes.training.naming import Naming
from model_store.scenes.training.owners import Owners
from model_store.scenes.vocabulary import ANSWERS, CAPTION_WORDS, QUESTION_WORDS
from model_store.words import END, PAD, Words

ASKED: Final = (*["colour", "shape", "relation"] * 2, *["existence"] * 3, *["count"] * 2)
"""Kinds of the questions about a scene, by turns."""

POOL, DRAWN = 22, 2
"""Questions drawn for a scene, and those of them that each visit asks."""

SILENCE_SHARE = 0.1
"""Of a loss: features, or evidence for words, where there is nothing."""

NAMING_SHARE = 5.0
"""Of the models' loss; it is a mean over words of which few are wanted."""

LOOKING_SHARE = 0.3
"""Of the models' loss: glances that do not find what is spoken of."""

_UNNAMED = -6.0  # what is added to the evidence for a word: most places are not of its kind
_QUESTION_STREAM = 7  # of a scene's seed


def caption_loss(captioner: ScenesCaptioner, scenes: Sequence[Scene], owners: Owners) -> BatchLoss:
    """The loss of saying what the captions of scenes say, of what words are seen where, and of where glances look."""
    described = [describe(scene) for scene in scenes]
    captions = _tokens([caption.text for caption in described], CAPTION_WORDS, (END,))
    wanted = wanted_table([wanted_by_caption(caption, len(caption.text.split()) + 1) for caption in described])
    naming = Naming(scenes, owners, Words(CAPTION_WORDS).table)
    swap = _swapped(CAPTION_WORDS)

    def loss_of(features: Tensor, batch: Tensor, mirrored: Tensor) -> Tensor:
        said = captions[batch]
        length = int((said != PAD).sum(1).max())
        said = torch.where(mirrored[:, None], swap[said[:, :length]], said[:, :length])
        spoken, looks = captioner.look_and_speak(features, said[:, :-1])
        right = cross_entropy(spoken.flatten(0, 1), said.flatten(), ignore_index=PAD)
        found = looking_loss(
            looks.flatten(1, 2), wanted[batch, :, :length].flatten(1), owners.at(batch, mirrored, features.shape[3])
        )
        return right + LOOKING_SHARE * found + _placed(naming, captioner.words_at(features), batch, mirrored)

    return loss_of


def answer_loss(answerer: ScenesAnswerer, scenes: Sequence[Scene], owners: Owners) -> BatchLoss:
    """The loss of answering questions about scenes, of what names are seen where, and of where glances look."""
    pools = [pool(scene) for scene in scenes]
    questions = _tokens([question.text for row in pools for question in row], QUESTION_WORDS).view(len(pools), POOL, -1)
    answers = torch.tensor([[ANSWERS.index(question.answer) for question in row] for row in pools])
    wanted = torch.tensor([[wanted_by_question(question) for question in row] for row in pools])
    naming = Naming(scenes, owners, NAMES)
    swap = _swapped(QUESTION_WORDS)

    def loss_of(features: Tensor, batch: Tensor, mirrored: Tensor) -> Tensor:
        chosen = torch.rand(len(batch), POOL).argsort(1)[:, :DRAWN]
        asked = questions[batch[:, None], chosen]
        asked = torch.where(mirrored[:, None, None], swap[asked], asked)
        answered, looks = answerer.look_and_answer(features, asked.flatten(0, 1))
        right = cross_entropy(answered, answers[batch[:, None], chosen].flatten())
        found = looking_loss(
            looks.view(len(batch), -1, looks.shape[2]),
            wanted[batch[:, None], chosen].flatten(1),
            owners.at(batch, mirrored, features.shape[3]),
        )
        return right + LOOKING_SHARE * found + _placed(naming, answerer.names_at(features), batch, mirrored)

    return loss_of


def _placed(naming: Naming, evidence: Tensor, batch: Tensor, mirrored: Tensor) -> Tensor:
    """The loss of evidence at the wrong places: attention reads few places, and maps show all of them."""
    named = naming.loss(evidence + _UNNAMED, batch, mirrored)
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
