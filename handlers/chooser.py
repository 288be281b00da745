"""A model that answers questions by choosing among its labels, and explains why."""

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from camserve.v1 import explanation_pb2 as pb
from handlers.explainer import Answer, Explainer
from handlers.faithfulness import class_probabilities
from handlers.job import Job
from handlers.language import Text, Tokenizer
from handlers.messages import answer_predictions, resolved_answer
from handlers.network import labels_of
from handlers.preprocessing import Picture
from handlers.questions import Asked, questions_of, read_answers, read_question
from handlers.rows import Explained, Explaining, Row
from handlers.targets import index_of_label
from model_store.recipe import Recipe, RecipeError
from saliency import Class, Rank
from saliency.targets import classes_of

AskedAnswer = Asked[Class | Rank]
"""Rank 0 is the model's own answer."""


class Chooser(Explainer[AskedAnswer]):
    """The servable of task ``answer`` for networks that choose; see :class:`handlers.language.Chooser`.

    An answer's score is its logit.
    """

    def __init__(self, recipe: Recipe, network: nn.Module, tokenizer: Tokenizer, device: torch.device) -> None:
        """Takes a network with its tokenizer.

        Raises:
            RecipeError: it does not have as many answers as there are labels.
        """
        self._tokenizer = tokenizer
        labels = labels_of(recipe, network)
        self._index_of = {label.casefold(): index for index, label in enumerate(labels)}
        texts = {"question": tokenizer.read(recipe.name).tokens}
        super().__init__(
            recipe,
            network,
            device,
            targets=[Rank(0)],
            labels=labels,
            texts=texts,
            pad=tokenizer.pad,
            probabilities=class_probabilities,
        )
        (answers,) = self.runner.outputs([Row(torch.zeros(3, *recipe.preprocessing.size), texts=texts)])
        if len(answers) != len(labels):
            raise RecipeError(f"labels: there are {len(labels)}, but the network chooses among {len(answers)} answers")

    def asked(self, request: pb.ExplainRequest) -> list[AskedAnswer]:
        """The questions, each with its answer or the model's own."""

        def read(answer: str, field: str) -> Class | Rank:
            return Class(index_of_label(answer, field, self._index_of)) if answer else Rank(0)

        return read_answers(request, self._tokenizer, read)

    def asked_of_prediction(self, request: pb.PredictRequest) -> list[AskedAnswer]:
        """The question."""
        return read_question(request, self._tokenizer, Rank(0))

    def predict(self, jobs: Sequence[Job[AskedAnswer]]) -> list[list[pb.Prediction]]:
        """The best answers to each question."""
        questions = [job.asked[0].question for job in jobs]
        rows = [
            Row(job.picture.tensor, texts={"question": question.tokens})
            for job, question in zip(jobs, questions, strict=True)
        ]
        return [
            answer_predictions(question.text, logits, self.labels, job.top)
            for job, question, logits in zip(jobs, questions, self.runner.outputs(rows), strict=True)
        ]

    def explain(self, how: Explaining, jobs: Sequence[Job[AskedAnswer]]) -> Iterable[Answer]:
        """A row for each question, whose answers are its targets; predictions come of the same."""
        questions = [questions_of(job.asked) for job in jobs]
        rows = [
            Row(
                job.picture.tensor,
                [asked.answer for asked in job.asked if asked.question == question],
                {"question": question.tokens},
                job.counter,
                [place for place, asked in enumerate(job.asked) if asked.question == question],
            )
            for job, own in zip(jobs, questions, strict=True)
            for question in own
        ]
        found = iter(self.explained(how, rows))
        for job, own in zip(jobs, questions, strict=True):
            explained = {question: next(found) for question in own}
            predictions = [
                prediction
                for question, answers in explained.items()
                for prediction in answer_predictions(question.text, answers.output, self.labels, job.top)
            ]
            asked = [each.question for each in job.asked]
            explanations = [
                self._explanation(explained[question], asked[:place].count(question), question, job.picture)
                for place, question in enumerate(asked)
            ]
            yield predictions, explanations

    def _explanation(self, explained: Explained, place: int, question: Text, picture: Picture) -> pb.Explanation:
        (index,) = classes_of(explained.targets[place])
        probability = torch.softmax(explained.output, 0)[index].item()
        target = resolved_answer(question, self.labels[index], probability, question.unknown)
        return self.explanation(explained, place, target, picture, unknown=question.unknown)
