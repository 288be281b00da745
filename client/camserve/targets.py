"""What is to be explained: small builders of ``camserve.v1.Target``."""

from collections.abc import Sequence

from camserve.v1 import explanation_pb2 as pb

TargetLike = int | str | pb.Target
"""A class index, a class label, or what the builders here return."""


def class_target(
    index: int | None = None, *, label: str | None = None, rank: int | None = None, against: Sequence[int] = ()
) -> pb.Target:
    """A class of a classifier.

    Args:
        index: index of the class, or
        label: its label, or
        rank: its rank in the image's prediction; 0 is the top one.
        against: indices of classes to contrast with: the score becomes the class's logit less the mean of theirs.

    Raises:
        ValueError: not exactly one of index, label and rank is given.
    """
    target = pb.ClassTarget(against=against)
    match index, label, rank:
        case int(), None, None:
            target.index = index
        case None, str(), None:
            target.label = label
        case None, None, int():
            target.rank = rank
        case _:
            raise ValueError("class_target: give exactly one of index and rank, as an int, and label, as a str")
    return pb.Target(class_target=target)


def caption(text: str = "", *, per_token: bool = False) -> pb.Target:
    """A caption of a captioner.

    Args:
        text: the caption; empty: the one the model generates.
        per_token: also return a map per token.
    """
    return pb.Target(caption=pb.CaptionTarget(text=text, per_token=per_token))


def answer(question: str, answer: str = "") -> pb.Target:
    """An answer of a question answerer.

    Args:
        question: the question.
        answer: the answer; empty: the one the model gives.
    """
    return pb.Target(answer=pb.AnswerTarget(question=question, answer=answer))


def to_target(target: TargetLike) -> pb.Target:
    """Takes an int as a class index and a str as a class label.

    Raises:
        TypeError: the target is of another type.
    """
    match target:
        case pb.Target():
            return target
        case bool():
            pass
        case int():
            return class_target(target)
        case str():
            return class_target(label=target)
    raise TypeError(f"target: expected a class index, a class label or a Target, got {type(target).__name__}")
