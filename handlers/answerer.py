"""A model that answers questions in its own words, and explains why."""

from collections.abc import Iterable, Sequence
from math import exp

import torch
from torch import nn

from camserve.v1 import explanation_pb2 as pb
from handlers.explainer import Answer
from handlers.job import Job
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
        asked = _questions(jobs)
        rows = [_row(jobs[job], question) for job, question in asked]
        return _predictions(len(jobs), asked, self.scored(rows, self.say(rows), {}))

    def explain(self, how: Explaining, jobs: Sequence[Job[AskedAnswer]]) -> Iterable[Answer]:
        """A row for each answer."""
        asked = _questions(jobs)
        questions = [_row(jobs[job], question) for job, question in asked]
        said = self.say(questions)
        place_of = {each: place for place, each in enumerate(asked)}
        answers = [
            [each.answer or checked(said[place_of[number, each.question]]) for each in job.asked]
            for number, job in enumerate(jobs)
        ]
        rows = [
            spoken(_row(job, each.question), answer, place)
            for job, own in zip(jobs, answers, strict=True)
            for place, (each, answer) in enumerate(zip(job.asked, own, strict=True))
        ]
        every = iter(self.explained(how, rows))
        found = [[next(every) for _ in job.asked] for job in jobs]
        known = {
            place_of[number, each.question]: explained.scores[0]
            for number, (job, own) in enumerate(zip(jobs, found, strict=True))
            for each, explained in zip(job.asked, own, strict=True)
            if each.answer is None
        }
        predictions = _predictions(len(jobs), asked, self.scored(questions, said, known))
        for job, own, texts, predicted in zip(jobs, found, answers, predictions, strict=True):
            yield (
                predicted,
                [
                    self._explanation(explained, each.question, answer, job.picture)
                    for explained, each, answer in zip(own, job.asked, texts, strict=True)
                ],
            )

    def _explanation(self, explained: Explained, question: Text, answer: Text, picture: Picture) -> pb.Explanation:
        unknown = tuple(dict.fromkeys((*question.unknown, *answer.unknown)))
        target = resolved_answer(question, answer.text, exp(explained.scores[0]), unknown)
        return self.explanation(explained, 0, target, picture, unknown=unknown)


def _row(job: Job[AskedAnswer], question: Text) -> Row:
    return Row(job.picture.tensor, texts={"question": question.tokens}, counter=job.counter)


def _questions(jobs: Sequence[Job[AskedAnswer]]) -> list[tuple[int, Text]]:
    """Each question of each job once, with the job's place."""
    return [(number, question) for number, job in enumerate(jobs) for question in questions_of(job.asked)]


def _predictions(count: int, asked: Sequence[tuple[int, Text]], said: Sequence[Said]) -> list[list[pb.Prediction]]:
    """The predictions for each of so many jobs."""
    found: list[list[pb.Prediction]] = [[] for _ in range(count)]
    for (number, question), own in zip(asked, said, strict=True):
        found[number].append(answer_prediction(question.text, own.text.text, own.score))
    return found
