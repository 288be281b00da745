"""Questions to models that answer them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from camserve.v1 import explanation_pb2 as pb
from handlers.language import Text, Tokenizer
from handlers.targets import targets_of
from handlers.tokens import read_text

AnswerT = TypeVar("AnswerT")
"""What a kind of model makes of the text of an answer."""


@dataclass(frozen=True)
class Asked(Generic[AnswerT]):
    """A question with the answer to explain."""

    question: Text
    answer: AnswerT


def read_answers(
    request: pb.ExplainRequest, tokenizer: Tokenizer, read: Callable[[str, str], AnswerT]
) -> list[Asked[AnswerT]]:
    """Reads the answer targets of a request.

    Args:
        request: the request.
        tokenizer: of the questions.
        read: makes a target of an answer, empty for the model's own, and of the field that it came in.

    Raises:
        InvalidArgumentError: a target is no answer, or its text says nothing to the model.
    """
    asked = []
    for field, target in targets_of(request, "answer"):
        question = read_text(tokenizer, target.answer.question, f"{field}.answer.question")
        asked.append(Asked(question, read(target.answer.answer, f"{field}.answer.answer")))
    return asked


def read_question(request: pb.PredictRequest, tokenizer: Tokenizer, answer: AnswerT) -> list[Asked[AnswerT]]:
    """Reads the question of a request for a prediction, whose answer is the model's own.

    Raises:
        InvalidArgumentError: it says nothing to the model.
    """
    return [Asked(read_text(tokenizer, request.question, "question"), answer)]


def questions_of(asked: Iterable[Asked[AnswerT]]) -> Sequence[Text]:
    """Each question once."""
    return list(dict.fromkeys(each.question for each in asked))
