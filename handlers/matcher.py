"""A model that says how well a caption suits an image, and explains why."""

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from camserve.errors import FailedPreconditionError, InvalidArgumentError
from camserve.v1 import explanation_pb2 as pb
from handlers.explainer import Answer, Explainer
from handlers.job import Job
from handlers.language import Text, Tokenizer
from handlers.messages import caption_prediction, resolved_caption
from handlers.rows import Explaining, Row
from handlers.targets import targets_of
from handlers.tokens import read_text
from model_store.recipe import Recipe
from saliency import Class


class Matcher(Explainer[Text | None]):
    """The servable of task ``caption`` for networks that compare images with texts.

    A caption's score is its similarity. Predictions rank the captions that the recipe lists as labels; None asks for
    the best of them.
    """

    def __init__(self, recipe: Recipe, network: nn.Module, tokenizer: Tokenizer, device: torch.device) -> None:
        """Takes a matcher as :class:`handlers.language.Matcher` describes it."""
        self._tokenizer = tokenizer
        self._candidates = [tokenizer.read(label) for label in recipe.labels or ()]
        texts = {"tokens": tokenizer.read(recipe.name).tokens}
        super().__init__(recipe, network, device, targets=[Class(0)], texts=texts, pad=tokenizer.pad)

    def asked(self, request: pb.ExplainRequest) -> list[Text | None]:
        """The captions; the best of the model's candidates if none is given."""
        asked: list[Text | None] = []
        for field, target in targets_of(request, "caption"):
            if target.caption.per_token:
                where = f"{field}.caption.per_token"
                raise InvalidArgumentError(
                    f"{where}: the model scores a caption as a whole; leave the field unset",
                    "PER_TOKEN_NOT_APPLICABLE",
                    field=where,
                )
            text = target.caption.text
            asked.append(read_text(self._tokenizer, text, f"{field}.caption.text") if text else None)
        asked = asked or [None]
        if None in asked and not self._candidates:
            raise FailedPreconditionError(
                "the model compares captions and generates none: give one in targets[].caption.text, or list candidates"
                " as labels in the model's recipe",
                "CAPTION_REQUIRED",
                field="targets",
            )
        return asked

    def predict(self, jobs: Sequence[Job[Text | None]]) -> list[list[pb.Prediction]]:
        """The candidates that suit each image best."""
        return [_predictions(ranked, job.top) for job, ranked in zip(jobs, self._rank(jobs), strict=True)]

    def explain(self, how: Explaining, jobs: Sequence[Job[Text | None]]) -> Iterable[Answer]:
        """A row for each caption."""
        ranked = self._rank(jobs)
        texts = [[text or own[0][0] for text in job.asked] for job, own in zip(jobs, ranked, strict=True)]
        rows = [
            Row(job.picture.tensor, [Class(0)], {"tokens": text.tokens}, job.counter, places=[place])
            for job, own in zip(jobs, texts, strict=True)
            for place, text in enumerate(own)
        ]
        explained = iter(self.explained(how, rows))
        for job, own, best in zip(jobs, texts, ranked, strict=True):
            explanations = [
                self.explanation(next(explained), 0, resolved_caption(text), job.picture, unknown=text.unknown)
                for text in own
            ]
            yield _predictions(best, job.top), explanations

    def _rank(self, jobs: Sequence[Job[Text | None]]) -> list[list[tuple[Text, float]]]:
        """The candidates with their log-probabilities among each other, best first, for each job."""
        if not self._candidates:
            return [[] for _ in jobs]
        rows = [Row(job.picture.tensor, texts={"tokens": text.tokens}) for job in jobs for text in self._candidates]
        similarities = torch.cat(self.runner.outputs(rows)).view(len(jobs), len(self._candidates))
        ranked = similarities.log_softmax(1).sort(1, descending=True)
        return [
            [(self._candidates[index], value) for index, value in zip(indices, values, strict=True)]
            for indices, values in zip(ranked.indices.tolist(), ranked.values.tolist(), strict=True)
        ]


def _predictions(ranked: Sequence[tuple[Text, float]], count: int) -> list[pb.Prediction]:
    return [caption_prediction(text.text, score) for text, score in ranked[:count]]
