"""From what was chosen on the page to what the server answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from camserve import CamserveError, ExplanationClient, answer, caption, class_target
from camserve.explanation import Explanation
from camserve.models import Model
from camserve.requests import Polarity
from camserve.results import ExplainResult
from camserve.v1 import explanation_pb2 as pb
from camserve_playground.choices import OWN


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        image: path of the picture.
        label: the class to explain, of a classifier.
        text: the caption, or the answer; empty: the model's own.
        question: to an answerer.
        polarity: what speaks for it or against it.
        faithfulness: whether maps are measured.
    """

    image: str
    label: str = OWN
    text: str = ""
    question: str = ""
    polarity: Polarity = "support"
    faithfulness: bool = False


@dataclass(frozen=True)
class Comparison:
    """Explanations by several methods, and what kept others from it."""

    explanations: tuple[Explanation, ...]
    problems: tuple[str, ...]


def explain(client: ExplanationClient, model: Model, question: Question, method: str) -> ExplainResult:
    """Explains by one method.

    Raises:
        CamserveError: the server refused or failed, or none answered in time.
    """
    return client.explain(
        question.image,
        model=model.name,
        version=model.version,
        target=_target(model, question),
        method=method,
        polarity=question.polarity,
        faithfulness=question.faithfulness,
    )


def compare(client: ExplanationClient, model: Model, question: Question, methods: Sequence[str]) -> Comparison:
    """Explains by each method; one that fails is told and does not keep the others from it."""
    explanations, problems = [], []
    for method in methods:
        try:
            explanations.append(explain(client, model, question, method).explanation)
        except CamserveError as error:
            problems.append(f"{method}: {error.message}")
    return Comparison(tuple(explanations), tuple(problems))


def _target(model: Model, question: Question) -> pb.Target | None:
    match model.task:
        case "caption":
            return caption(question.text.strip(), per_token=True)
        case "answer":
            return answer(question.question.strip(), question.text.strip())
    return None if question.label == OWN else class_target(label=question.label)
