"""A model that answers questions in its own words, and explains why."""

from collections.abc import Iterable, Sequence
from math import exp

import torch
from torch import nn

from camserve.v1 import explanation_pb2 as pb
from handlers.explainer import Answer, Job
from handlers.language import Text, Tokenizer
from handlers.messages import answer_prediction, resolved_answer
from handlers.preprocessing import Picture
from handlers.questions import Asked, questions_of, read_answers, read_question
from handlers.rows import Explained, Explaining, Row
from handlers.speaker import Said, Speaker, checked, spoken
from handlers.tokens import read_text
from model_store.recipe import Recipe

AskedAnswer = Asked[Text | None]
"""None asks for the model's own answer."""


class Answerer(Speaker[AskedAnswer]):
    """The servable of task ``answer`` for networks that generate text; see :class:`handlers.language.Answerer`."""

    def __init__(self, recipe: Recipe, network: nn.Module, tokenizer: Tokenizer, device: torch.device) -> None:
        super().__init__(recipe, network, tokenizer, device, "question")

    def asked(self, request: pb.ExplainRequest) -> list[AskedAnswer]:
        """The questions, each with its answer or the model's own."""

        def read(answer: str, field: str) -> Text | None:
            return read_text(self.tokenizer, answer, field) if answer else None

        return read_answers(request, self.tokenizer, read)

    def asked_of_prediction(self, request: pb.PredictRequest) -> list[AskedAnswer]:
        """The question."""
        return read_question(request, self.tokenizer, None)

    def predict(self, jobs: Sequence[Job[AskedAnswer]]) -> list[list[pb.Prediction]]:
        """The answer to each question."""
        return [_predictions(said) for said in self._say(jobs)]

    def explain(self, how: Explaining, jobs: Sequence[Job[AskedAnswer]]) -> Iterable[Answer]:
        """A row for each answer."""
        said = self._say(jobs)
        answers = [
            [asked.answer or checked(own[asked.question]) for asked in job.asked]
            for job, own in zip(jobs, said, strict=True)
        ]
        rows = [
            spoken(_row(job, asked.question), answer, place)
            for job, own in zip(jobs, answers, strict=True)
            for place, (asked, answer) in enumerate(zip(job.asked, own, strict=True))
        ]
        found = iter(self.explained(how, rows))
        for job, own, predicted in zip(jobs, answers, said, strict=True):
            explanations = [
                self._explanation(next(found), asked.question, answer, job.picture)
                for asked, answer in zip(job.asked, own, strict=True)
            ]
            yield _predictions(predicted), explanations

    def _say(self, jobs: Sequence[Job[AskedAnswer]]) -> list[dict[Text, Said]]:
        """Answers each job's questions."""
        questions = [questions_of(job.asked) for job in jobs]
        said = iter(
            self.say([_row(job, question) for job, own in zip(jobs, questions, strict=True) for question in own])
        )
        return [{question: next(said) for question in own} for own in questions]

    def _explanation(self, explained: Explained, question: Text, answer: Text, picture: Picture) -> pb.Explanation:
        unknown = tuple(dict.fromkeys((*question.unknown, *answer.unknown)))
        target = resolved_answer(question, answer.text, exp(explained.scores[0]), unknown)
        return self.explanation(explained, 0, target, picture, unknown=unknown)


def _row(job: Job[AskedAnswer], question: Text) -> Row:
    return Row(job.picture.tensor, texts={"question": question.tokens}, counter=job.counter)


def _predictions(said: dict[Text, Said]) -> list[pb.Prediction]:
    return [answer_prediction(question.text, own.text.text, own.score) for question, own in said.items()]
