"""Results as messages of the contract."""

from collections.abc import Sequence
from math import exp

import torch
from google.protobuf.duration_pb2 import Duration
from torch import Tensor

from camserve.v1 import explanation_pb2 as pb
from handlers.language import Text
from saliency import WarningKind

_CODES = {
    WarningKind.FLAT: pb.WARNING_CODE_FLAT_MAP,
    WarningKind.ALL_NEGATIVE: pb.WARNING_CODE_ALL_NEGATIVE,
    WarningKind.NON_FINITE: pb.WARNING_CODE_NON_FINITE,
    WarningKind.BUDGET_EXHAUSTED: pb.WARNING_CODE_BUDGET_EXHAUSTED,
}
_MESSAGES = {
    pb.WARNING_CODE_FLAT_MAP: "all values of the map were equal; it is zeros",
    pb.WARNING_CODE_ALL_NEGATIVE: (
        "all evidence was negative, so clipping at zero left nothing; POLARITY_COUNTER shows it"
    ),
    pb.WARNING_CODE_NON_FINITE: "values that are not finite appeared and were set to zero",
    pb.WARNING_CODE_BUDGET_EXHAUSTED: "the budget ended the method early; the map is the best until then",
    pb.WARNING_CODE_CLASS_AGNOSTIC: "the method does not look at the target: every target gets this map",
    pb.WARNING_CODE_SANITY_FAILING_METHOD: (
        "the method fails sanity checks: its maps look alike whatever the model has learned"
    ),
    pb.WARNING_CODE_RANDOM_WEIGHTS: "the model's weights are random, so its predictions and maps mean nothing",
    pb.WARNING_CODE_NOT_MEASURED: "there was no time left to measure the map; allow more, or explain fewer targets",
    pb.WARNING_CODE_UNKNOWN_WORDS: "the model does not know all words, and takes these for one unknown word: {}",
}


def warning(code: "pb.WarningCode.ValueType", words: str = "") -> pb.Warning:
    """A warning with its sentence, which names words if it is about them."""
    return pb.Warning(code=code, message=_MESSAGES[code].format(words))


def map_warning(kind: WarningKind) -> pb.Warning:
    """A warning of the core."""
    return warning(_CODES[kind])


def heatmap(values: Tensor, box: pb.Box) -> pb.Heatmap:
    """A map ``[h, w]`` float32 on the CPU that covers a region of the original image."""
    height, width = values.shape
    low, high = values.aminmax()
    data = values.contiguous().numpy().astype("<f4", copy=False).tobytes()
    return pb.Heatmap(height=height, width=width, data=data, minimum=low.item(), maximum=high.item(), box=box)


def class_predictions(logits: Tensor, labels: Sequence[str], count: int) -> list[pb.Prediction]:
    """The best classes of one image, from its logits ``[N]``."""
    probabilities = torch.softmax(logits, 0)
    top = logits.topk(min(count, len(logits))).indices.tolist()
    return [
        pb.Prediction(
            class_prediction=pb.ClassPrediction(
                index=index, label=labels[index], probability=probabilities[index].item(), logit=logits[index].item()
            )
        )
        for index in top
    ]


def caption_prediction(text: str, log_probability: float) -> pb.Prediction:
    """A caption of one image."""
    return pb.Prediction(caption=pb.CaptionPrediction(text=text, log_probability=log_probability))


def answer_predictions(question: str, logits: Tensor, labels: Sequence[str], count: int) -> list[pb.Prediction]:
    """The best answers of a model that chooses among labels, from its logits ``[N]``."""
    probabilities = torch.softmax(logits, 0)
    return [
        pb.Prediction(
            answer=pb.AnswerPrediction(
                question=question,
                answer=labels[index],
                probability=probabilities[index].item(),
                logit=logits[index].item(),
            )
        )
        for index in logits.topk(min(count, len(logits))).indices.tolist()
    ]


def answer_prediction(question: str, answer: str, log_probability: float) -> pb.Prediction:
    """The answer of a model that generates it."""
    return pb.Prediction(answer=pb.AnswerPrediction(question=question, answer=answer, probability=exp(log_probability)))


def resolved_caption(text: Text) -> pb.ResolvedTarget:
    """A caption as a target."""
    return pb.ResolvedTarget(caption=pb.ResolvedCaption(text=text.text, unknown_words=text.unknown))


def resolved_answer(question: Text, answer: str, probability: float, unknown: Sequence[str]) -> pb.ResolvedTarget:
    """An answer as a target, with the unknown words of question and answer."""
    return pb.ResolvedTarget(
        answer=pb.ResolvedAnswer(question=question.text, answer=answer, probability=probability, unknown_words=unknown)
    )


def duration(seconds: float) -> Duration:
    """A duration, to the nanosecond."""
    nanos = round(seconds * 1e9)
    return Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)
