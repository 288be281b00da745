"""The scenes captioner: an encoder, and LSTMs that look at one place after the other while they speak.

In the manner of Xu et al., "Show, Attend and Tell" (2015), with the two stages of Anderson et al., "Bottom-Up and
Top-Down Attention" (2018): the first LSTM reads the words so far, a first glance finds the place that they speak of,
the second LSTM remembers these places, and a second glance brings what is at the place of the next word. All that a
word knows of the looks of its object comes by that last glance; where it is tells how it lies to the one before.
"""

import torch
from torch import Tensor, nn

from model_store.scenes.networks.encoder import FEATURES, PLACE, Encoder, places
from model_store.scenes.networks.glance import glance
from model_store.scenes.vocabulary import CAPTION_WORDS
from model_store.words import END, PAD, START, Words

_EMBEDDING, _HIDDEN, _GLANCE = 64, 192, 128


class ScenesCaptioner(nn.Module):
    """Describes scenes; the map that words are read from is the output of `encoder.join`."""

    def __init__(self) -> None:
        super().__init__()
        count = len(Words(CAPTION_WORDS))
        self.encoder = Encoder()
        self.content = nn.Linear(FEATURES, _GLANCE, bias=False)
        self.place = nn.Linear(PLACE, _GLANCE, bias=False)
        self.embedding = nn.Embedding(count, _EMBEDDING)
        self.reader = nn.LSTM(_EMBEDDING, _HIDDEN, batch_first=True)
        self.first_query = nn.Linear(_HIDDEN, _GLANCE)
        self.speaker = nn.LSTMCell(_HIDDEN + _GLANCE, _HIDDEN)
        self.second_query = nn.Linear(_HIDDEN + _GLANCE, _GLANCE)
        self.thought = nn.Linear(_HIDDEN + 2 * _GLANCE, _HIDDEN)
        self.from_thought = nn.Linear(_HIDDEN, count)
        self.from_glance = nn.Linear(_GLANCE, count, bias=False)

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Score texts, each word given the words before it.

        Args:
            images: Float `[B, 3, H, W]`, RGB, (value in [0, 1] - 0.5) / 0.25; trained at 112 x 112.
            tokens: Int64 `[B, T]`, padded with `PAD`.

        Returns:
            Logits `[B, T, words]`: row t is for the token at t.
        """
        return self.speak(self.encoder(images), tokens[:, :-1])

    @torch.no_grad()
    def generate(self, images: Tensor, length: int) -> Tensor:
        """Describe images, taking the likeliest word each time.

        Args:
            images: As for `forward`.
            length: Most tokens of a text.

        Returns:
            Int64 `[B, T]` with T at most `length`; `END` after the last word, then `PAD`.
        """
        features = self.encoder(images)
        tokens = torch.empty(len(images), 0, dtype=torch.int64, device=images.device)
        ended = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        while tokens.shape[1] < length and not ended.all():
            token = self.speak(features, tokens)[:, -1].argmax(1).masked_fill(ended, PAD)
            ended |= token == END
            tokens = torch.cat([tokens, token[:, None]], 1)
        return tokens

    def words_at(self, features: Tensor) -> Tensor:
        """The evidence for each word at each place, `[B, h, w, words]`, that a glance there would bring."""
        evidence: Tensor = self.from_glance(self.content(features.movedim(1, 3)))
        return evidence

    def speak(self, features: Tensor, said: Tensor) -> Tensor:
        """Logits `[B, T + 1, words]` for each word after the T words said, the first included."""
        return self.look_and_speak(features, said)[0]

    def look_and_speak(self, features: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
        """What `speak` gives, and the looks of both glances, `[B, 2, T + 1, places]`."""
        where = self.place(places(features)).expand(len(features), -1, -1)
        content = self.content(features.flatten(2).transpose(1, 2))
        memory = content + where
        read, _ = self.reader(self.embedding(nn.functional.pad(said, (1, 0), value=START)))
        back = glance(self.first_query(read), memory)
        spoken_of = back @ where
        state = None
        steps = []
        for step in torch.cat([read, spoken_of], 2).unbind(1):
            state = self.speaker(step, state)
            steps.append(state[0])
        spoken = torch.cat([torch.stack(steps, 1), spoken_of], 2)
        ahead = glance(self.second_query(spoken), memory)
        seen, there = (ahead @ torch.cat([content, where], 2)).chunk(2, 2)
        thought = self.thought(torch.cat([spoken, there], 2)).relu()
        return self.from_thought(thought) + self.from_glance(seen), torch.stack([back, ahead], 1)


def build() -> nn.Module:
    """The untrained network; the weights are loaded by the caller."""
    return ScenesCaptioner()
