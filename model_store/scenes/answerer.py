"""The scenes question answerer: an encoder and a question LSTM, fused by multiplication at every place.

In the manner of the "deeper LSTM Q + norm I" model of Antol et al., "VQA" (2015): a two-layer LSTM reads the question,
and question and image meet in an element-wise product; here before the pooling, not after it, and without normalising
the image's features, which batch norm has done.
"""

import torch
from torch import Tensor, nn

from model_store.scenes.encoder import FEATURES, Encoder, places
from model_store.scenes.vocabulary import ANSWERS, QUESTION_WORDS
from model_store.words import PAD, Words

_EMBEDDING, _HIDDEN, _FUSED = 64, 192, 128


class ScenesAnswerer(nn.Module):
    """Answers questions about scenes; the map that answers are read from is the output of `encoder.join`."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.embedding = nn.Embedding(len(Words(QUESTION_WORDS)), _EMBEDDING)
        self.reader = nn.LSTM(_EMBEDDING, _HIDDEN, num_layers=2, batch_first=True)
        self.from_question = nn.Linear(2 * _HIDDEN, 2 * _FUSED)
        self.content = nn.Linear(FEATURES, 2 * _FUSED)
        self.place = nn.Linear(2, 2 * _FUSED, bias=False)
        self.join = nn.Linear(2 * _FUSED, _FUSED)
        self.hidden = nn.Linear(3 * _FUSED, 2 * _FUSED)
        self.answer = nn.Linear(2 * _FUSED, len(ANSWERS))

    def forward(self, images: Tensor, question: Tensor) -> Tensor:
        """Score answers.

        Args:
            images: Float `[B, 3, H, W]`, RGB, (value in [0, 1] - 0.5) / 0.25; trained at 112 x 112.
            question: Int64 `[B, T]`, padded with `PAD`.

        Returns:
            Logits `[B, 27]`.
        """
        return self.answers(self.encoder(images), question)

    def answers(self, features: Tensor, question: Tensor) -> Tensor:
        """Score answers from features `[B, FEATURES, h, w]`, to one question each or to N: `[B * N, T]`."""
        seen = (self.content(features.flatten(2).transpose(1, 2)) + self.place(places(features))).tanh()
        asked = self.from_question(self._read(question)).tanh()
        several = len(question) // len(features)
        joined = self.join(seen.repeat_interleave(several, 0) * asked[:, None]).relu()
        pooled = torch.cat([joined.amax(1), joined.mean(1), asked[:, :_FUSED]], 1)
        scores: Tensor = self.answer(self.hidden(pooled).relu())
        return scores

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
