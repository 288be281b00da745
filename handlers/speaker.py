"""What captioners and answerers that generate text have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from camserve.errors import FailedPreconditionError
from handlers.explainer import Explainer
from handlers.job import AskedT
from handlers.language import Text, Tokenizer
from handlers.rows import Row
from handlers.tokens import Span, TokenScores, text_probabilities
from model_store.recipe import Recipe

LONGEST = 32
"""Most tokens of a text that a model generates."""


@dataclass(frozen=True)
class Said:
    """A text that a model generated, and the log-probability that it has as a target."""

    text: Text
    score: float


class Speaker(Explainer[AskedT]):
    """A model that generates text for an image, and for further text if it takes any.

    A text's score is the sum of its tokens' natural log-probabilities under teacher forcing.
    """

    def __init__(
        self, recipe: Recipe, network: nn.Module, tokenizer: Tokenizer, device: torch.device, *given: str
    ) -> None:
        """Takes a network of :mod:`handlers.language`.

        Args:
            recipe: the model's.
            network: with ``forward`` and ``generate``.
            tokenizer: its own.
            device: where it is.
            given: names of the texts that it takes beside the one that it generates.
        """
        self.tokenizer = tokenizer
        self._network: Any = network
        example = tokenizer.read(recipe.name).tokens
        super().__init__(
            recipe,
            TokenScores(network),
            device,
            targets=[Span(0, len(example))],
            texts=dict.fromkeys((*given, "tokens"), example),
            pad=tokenizer.pad,
            probabilities=text_probabilities,
        )

    def say(self, rows: Sequence[Row]) -> list[Text]:
        """Generates a text for each row, which has all other texts that the network takes."""
        given = self.runner.inputs(rows)
        with torch.inference_mode():
            inputs = given if isinstance(given, Mapping) else {"images": given}
            return [self.tokenizer.write(ids) for ids in self._network.generate(**inputs, length=LONGEST).tolist()]

    def scored(self, rows: Sequence[Row], texts: Sequence[Text], known: Mapping[int, float]) -> list[Said]:
        """What was said for each row with its score, by a run of those whose score is not known of an explanation.

        Args:
            rows: as :meth:`say` takes them.
            texts: that it gave.
            known: scores, by row.
        """
        unknown = [place for place in range(len(rows)) if place not in known]
        outputs = self.runner.outputs([spoken(rows[place], texts[place]) for place in unknown]) if unknown else ()
        scores = dict(known)
        for place, own in zip(unknown, outputs, strict=True):
            scores[place] = own[: len(texts[place].tokens)].sum().item()
        return [Said(text, scores[place]) for place, text in enumerate(texts)]


def spoken(row: Row, text: Text, place: int = 0, *, words: bool = False) -> Row:
    """A row with a text and its targets: the whole, at that place in the request, then each word if they are wanted."""
    targets = [Span(0, len(text.tokens)), *(Span(word.start, word.stop) for word in text.words if words)]
    return Row(row.image, targets, {**row.texts, "tokens": text.tokens}, row.counter, places=[place])


def checked(said: Text) -> Text:
    """A generated text that is to be explained.

    Raises:
        FailedPreconditionError: there is nothing in it.
    """
    if not said.tokens:
        raise FailedPreconditionError(
            "the model has nothing to say to this image, so there is nothing to explain; give a text of your own",
            "TEXT_EMPTY",
            field="targets",
        )
    return said
