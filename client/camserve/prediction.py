"""What a model predicts, and what of it was explained."""

from dataclasses import dataclass, field
from math import exp
from typing import Literal

from camserve.enums import enum_name
from camserve.v1 import explanation_pb2 as pb

Kind = Literal["class", "caption", "answer"]


@dataclass(frozen=True)
class Prediction:
    """One thing that a model predicts.

    Attributes:
        kind: what it is.
        label: the class's label, the caption or the answer.
        probability: 0 to 1; of a caption, the product of its tokens' probabilities.
        score: logit of a class or an answer, log-probability of a caption; None where answers are generated.
        index: index of the class; None for others.
        question: the question that is answered; empty for others.
    """

    kind: Kind
    label: str
    probability: float
    score: float | None
    index: int | None = None
    question: str = ""
    proto: pb.Prediction = field(default_factory=pb.Prediction, repr=False, compare=False)

    @classmethod
    def from_proto(cls, proto: pb.Prediction) -> "Prediction":
        """Takes the prediction from a response."""
        match proto.WhichOneof("kind"):
            case "caption":
                caption = proto.caption
                return cls("caption", caption.text, exp(caption.log_probability), caption.log_probability, proto=proto)
            case "answer":
                answer = proto.answer
                logit = answer.logit if answer.HasField("logit") else None
                return cls("answer", answer.answer, answer.probability, logit, question=answer.question, proto=proto)
            case _:
                top = proto.class_prediction
                return cls("class", top.label, top.probability, top.logit, index=top.index, proto=proto)


@dataclass(frozen=True)
class ExplainedTarget:
    """What was explained, with labels, ranks and empty texts resolved.

    Attributes:
        kind: what it is.
        label: the class's label, the caption or the answer.
        polarity: whether the map shows what speaks for it, ``support``, or against it, ``counter``.
        probability: of the class or the answer in this image, 0 to 1; None for a caption.
        index: index of the class; None for others.
        against: indices of the classes it was contrasted with.
        question: the question that is answered; empty for others.
        unknown_words: words of the texts that the model does not know.
    """

    kind: Kind
    label: str
    polarity: str
    probability: float | None = None
    index: int | None = None
    against: tuple[int, ...] = ()
    question: str = ""
    unknown_words: tuple[str, ...] = ()
    proto: pb.ResolvedTarget = field(default_factory=pb.ResolvedTarget, repr=False, compare=False)

    @classmethod
    def from_proto(cls, proto: pb.ResolvedTarget) -> "ExplainedTarget":
        """Takes the target from a response."""
        polarity = enum_name(pb.Polarity, proto.polarity or pb.POLARITY_SUPPORT)
        match proto.WhichOneof("kind"):
            case "caption":
                words = tuple(proto.caption.unknown_words)
                return cls("caption", proto.caption.text, polarity, unknown_words=words, proto=proto)
            case "answer":
                answer = proto.answer
                return cls(
                    "answer",
                    answer.answer,
                    polarity,
                    probability=answer.probability,
                    question=answer.question,
                    unknown_words=tuple(answer.unknown_words),
                    proto=proto,
                )
            case _:
                chosen = proto.class_target
                return cls(
                    "class",
                    chosen.label,
                    polarity,
                    probability=chosen.probability,
                    index=chosen.index,
                    against=tuple(chosen.against),
                    proto=proto,
                )
