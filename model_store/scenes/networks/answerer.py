"""The scenes question answerer: an encoder and a question LSTM, fused by multiplication and by a glance.

In the manner of the "deeper LSTM Q + norm I" model of Antol et al., "VQA" (2015): a two-layer LSTM reads the question,
and question and image meet in an element-wise product; here before the pooling, not after it, and without normalising
the image's features, which batch norm has done. That answers how many and whether. What something is, its colour or its
shape, is read at one place, which the question finds; so the map of such an answer shows where its evidence lies.
"""

from typing import Final

import torch
from torch import Tensor, nn

from model_store.scenes.networks.encoder import FEATURES, PLACE, Encoder, places
from model_store.scenes.networks.glance import glance
from model_store.scenes.vocabulary import ANSWERS, COLOURS, QUESTION_WORDS, SHAPES
from model_store.words import PAD, Words

NAMES: Final = (*COLOURS, *SHAPES)
"""The answers that name what is seen at one place: the last ones of `ANSWERS`."""

_EMBEDDING, _HIDDEN, _FUSED = 64, 192, 128
_GLANCES = 2


class ScenesAnswerer(nn.Module):
    """Answers questions about scenes; the map that answers are read from is the output of `encoder.join`."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.embedding = nn.Embedding(len(Words(QUESTION_WORDS)), _EMBEDDING)
        self.reader = nn.LSTM(_EMBEDDING, _HIDDEN, num_layers=2, batch_first=True)
        self.content = nn.Linear(FEATURES, _FUSED, bias=False)
        self.place = nn.Linear(PLACE, _FUSED, bias=False)
        self.queries = nn.Linear(2 * _HIDDEN, _GLANCES * _FUSED)
        self.asked = nn.Linear(2 * _HIDDEN, (3 + _GLANCES) * _FUSED)
        self.joined = nn.Linear(_FUSED, _FUSED)
        self.hidden = nn.Linear((4 + _GLANCES) * _FUSED, 2 * _FUSED)
        self.judgement = nn.Linear(2 * _FUSED, len(ANSWERS) - len(NAMES))
        self.names = nn.Linear(_FUSED, len(NAMES), bias=False)
        self.kind = nn.Linear(2 * _HIDDEN, len(ANSWERS))

    def forward(self, images: Tensor, question: Tensor) -> Tensor:
        """Score answers.

        Args:
            images: Float `[B, 3, H, W]`, RGB, (value in [0, 1] - 0.5) / 0.25; trained at 112 x 112.
            question: Int64 `[B, T]`, padded with `PAD`.

        Returns:
            Logits `[B, 27]`.
        """
        return self.answers(self.encoder(images), question)

    def names_at(self, features: Tensor) -> Tensor:
        """The evidence for each colour and shape at each place, `[B, h, w, 20]`, that a glance there would bring."""
        evidence: Tensor = self.names(self.content(features.movedim(1, 3)))
        return evidence

    def answers(self, features: Tensor, question: Tensor) -> Tensor:
        """Score answers from features `[B, FEATURES, h, w]`, to one question each or to N: `[B * N, T]`."""
        return self.look_and_answer(features, question)[0]

    def look_and_answer(self, features: Tensor, question: Tensor) -> tuple[Tensor, Tensor]:
        """What `answers` gives, and the looks of both glances, `[B * N, 2, places]`."""
        read = self._read(question)
        several = len(question) // len(features)
        content = self.content(features.flatten(2).transpose(1, 2)).repeat_interleave(several, 0)
        place = self.place(places(features)).expand_as(content)
        memory = content + place
        looks = glance(self.queries(read).unflatten(1, (_GLANCES, -1)), memory)
        seen, where = looks @ content, looks @ place
        apart = where[:, 0] - where[:, 1]
        asked = self.asked(read).tanh().unflatten(1, (3 + _GLANCES, -1))
        joined = self.joined(memory.tanh() * asked[:, :1]).relu()
        there = ((seen + where) * asked[:, 3:]).flatten(1)
        parts = [joined.amax(1), joined.mean(1), asked[:, 1], apart * asked[:, 2], there]
        judged = self.judgement(self.hidden(torch.cat(parts, 1)).relu())
        return torch.cat([judged, self.names(seen[:, 0])], 1) + self.kind(read), looks

    def _read(self, question: Tensor) -> Tensor:
        """Both layers' state after the last word, `[B, 2 * HIDDEN]`."""
        lengths = (question != PAD).sum(1).clamp_min(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(question), lengths, batch_first=True, enforce_sorted=False
        )
        _, (state, _) = self.reader(packed)
        read: Tensor = state.transpose(0, 1).flatten(1)
        return read


def build() -> nn.Module:
    """The untrained network; the weights are loaded by the caller."""
    return ScenesAnswerer()
