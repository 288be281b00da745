"""From a request's targets to the core's, and from the core's resolved ones to the response's."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from torch import Tensor

from camserve.errors import InvalidArgumentError
from camserve.v1 import explanation_pb2 as pb
from saliency import Class, Contrast, Rank
from saliency.targets import Target, classes_of


def class_targets(request: pb.ExplainRequest, index_of: Mapping[str, int]) -> list[Target]:
    """The targets of a request to a classifier; its top class if it names none.

    Args:
        request: the request.
        index_of: class index by label in lower case.

    Raises:
        InvalidArgumentError: a target is no class, or its label is not known.
    """
    targets = [_class_target(target, field, index_of) for field, target in targets_of(request, "class_target")]
    return targets or [Rank(0)]


def targets_of(request: pb.ExplainRequest, kind: str) -> list[tuple[str, pb.Target]]:
    """The targets of a request and their fields, all of the kind that the model takes.

    Raises:
        InvalidArgumentError: a target is of another kind.
    """
    targets = [(f"targets[{place}]", target) for place, target in enumerate(request.targets)]
    for field, target in targets:
        if target.WhichOneof("kind") != kind:
            raise InvalidArgumentError(f"{field} must be of the kind {kind}", "TARGET_KIND_MISMATCH", field=field)
    return targets


def index_of_label(label: str, field: str, index_of: Mapping[str, int]) -> int:
    """The index of a label, whose case does not matter.

    Raises:
        InvalidArgumentError: there is no such label; the message names near ones.
    """
    index = index_of.get(label.casefold())
    if index is None:
        near = get_close_matches(label.casefold(), index_of, n=3)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise InvalidArgumentError(f"{field}: the model has no '{label}'{hint}", "LABEL_UNKNOWN", field=field)
    return index


def resolved_class(target: Target, probabilities: Tensor, labels: Sequence[str]) -> pb.ResolvedTarget:
    """What a resolved target of the core came to, given one image's softmax probabilities ``[N]``."""
    index, *against = classes_of(target)
    return pb.ResolvedTarget(
        class_target=pb.ResolvedClass(
            index=index, label=labels[index], probability=probabilities[index].item(), against=against
        )
    )


def _class_target(target: pb.Target, field: str, index_of: Mapping[str, int]) -> Target:
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
            return Class(index_of_label(target.label, f"{field}.label", index_of))
        case _:
            raise InvalidArgumentError(f"{field} is empty; set index, label or rank", "TARGET_EMPTY", field=field)
