"""From a request's targets to the core's, and from the core's resolved ones to the response's."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from torch import Tensor

from camserve.errors import InvalidArgumentError
from camserve.v1 import explanation_pb2 as pb
from saliency import Class, Contrast, Counter, Rank
from saliency.targets import Target, classes_of


def class_targets(request: pb.ExplainRequest, index_of: Mapping[str, int]) -> list[Target]:
    """The targets of a request to a classifier; its top class if it names none.

    Args:
        request: the request.
        index_of: class index by label in lower case.

    Raises:
        InvalidArgumentError: a target is no class, or its label is not known.
    """
    targets = [_class_target(target, place, index_of) for place, target in enumerate(request.targets)] or [Rank(0)]
    return [Counter(target) for target in targets] if request.polarity == pb.POLARITY_COUNTER else targets


def resolved_class(target: Target, probabilities: Tensor, labels: Sequence[str]) -> pb.ResolvedTarget:
    """What a resolved target of the core came to, given one image's softmax probabilities ``[N]``."""
    index, *against = classes_of(target)
    return pb.ResolvedTarget(
        class_target=pb.ResolvedClass(
            index=index, label=labels[index], probability=probabilities[index].item(), against=against
        ),
        polarity=pb.POLARITY_COUNTER if isinstance(target, Counter) else pb.POLARITY_SUPPORT,
    )


def _class_target(target: pb.Target, place: int, index_of: Mapping[str, int]) -> Target:
    field = f"targets[{place}]"
    if target.WhichOneof("kind") != "class_target":
        raise InvalidArgumentError(
            f"{field} must be a class_target: the model is a classifier", "TARGET_KIND_MISMATCH", field=field
        )
    chosen = _selected(target.class_target, f"{field}.class_target", index_of)
    against = tuple(target.class_target.against)
    return Contrast(chosen, against) if against else chosen


def _selected(target: pb.ClassTarget, field: str, index_of: Mapping[str, int]) -> Target:
    match target.WhichOneof("selector"):
        case "index":
            return Class(target.index)
        case "rank":
            return Rank(target.rank)
        case "label":
            index = index_of.get(target.label.casefold())
            if index is None:
                near = get_close_matches(target.label.casefold(), index_of, n=3)
                hint = f"; near: {', '.join(near)}" if near else ""
                raise InvalidArgumentError(
                    f"there is no class '{target.label}'{hint}", "LABEL_UNKNOWN", field=f"{field}.label"
                )
            return Class(index)
        case _:
            raise InvalidArgumentError(f"{field} is empty; set index, label or rank", "TARGET_EMPTY", field=field)
