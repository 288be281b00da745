"""What targets a request may have."""

from unicodedata import category

from camserve.v1 import explanation_pb2 as pb
from gateway.admission.fault import Faults, fault
from gateway.admission.nearest import hint, shown
from gateway.card import Card

_CONTROLS = ("Cc", "Zl", "Zp")
"""Control characters and what else ends a line: a line of a worker's output may mean something to TorchServe."""

_KIND_OF_TASK = {pb.TASK_CLASSIFY: "class_target", pb.TASK_CAPTION: "caption", pb.TASK_ANSWER: "answer"}


def targets(request: pb.ExplainRequest, card: Card) -> Faults:
    """Targets are few enough, of the model's kind, and each means something to it."""
    limit = card.model.limits.max_targets
    if len(request.targets) > limit:
        yield fault("targets", "TOO_MANY_TARGETS", f"has {len(request.targets)} entries; send {limit} at most")
        return
    if not request.targets and card.model.task == pb.TASK_ANSWER:
        yield fault("targets", "QUESTION_REQUIRED", "is empty; send an answer target with the question")
    wanted = _KIND_OF_TASK[card.model.task]
    for place, target in enumerate(request.targets):
        field = f"targets[{place}]"
        kind = target.WhichOneof("kind")
        if kind is None:
            yield fault(field, "TARGET_EMPTY", f"is empty; set {wanted}")
        elif kind != wanted:
            text = f"is of kind {kind}, but the model's task is {card.task}; set {wanted}"
            yield fault(f"{field}.{kind}", "TARGET_KIND_MISMATCH", text)
        elif kind == "class_target":
            yield from _class(target.class_target, f"{field}.class_target", card)
        elif kind == "caption":
            yield from _text(target.caption.text, f"{field}.caption.text", card)
        else:
            yield from question(target.answer.question, f"{field}.answer.question", card)
            yield from _answer(target.answer.answer, f"{field}.answer.answer", card)


def question(value: str, field: str, card: Card) -> Faults:
    """A question is there, and a text that the model may read."""
    if not value.strip():
        yield fault(field, "QUESTION_REQUIRED", "is empty; the model answers questions, so send one")
    else:
        yield from _text(value, field, card)


def _answer(value: str, field: str, card: Card) -> Faults:
    """An answer is one of the model's, if it chooses among labels."""
    if value and card.model.labels and not card.indices(value):
        text = f"is no answer of the model: {shown(value)}{hint(value, card.model.labels)}"
        yield fault(field, "ANSWER_UNKNOWN", text)
    else:
        yield from _text(value, field, card)


def _text(value: str, field: str, card: Card) -> Faults:
    """A text is not too long for the model and has characters to see; empty, it asks for the model's own."""
    limit = card.model.limits.max_text_length
    if len(value) > limit:
        yield fault(field, "TEXT_TOO_LONG", f"has {len(value)} characters; send {limit} at most")
    elif value and not value.strip():
        yield fault(field, "TEXT_BLANK", "is blank; write something, or leave it empty for the model's own")
    controls = [place for place, character in enumerate(value) if category(character) in _CONTROLS]
    if controls:
        text = f"has a control character, U+{ord(value[controls[0]]):04X}, at index {controls[0]}; remove it"
        yield fault(field, "TEXT_HAS_CONTROL_CHARACTERS", text)


def _class(target: pb.ClassTarget, field: str, card: Card) -> Faults:
    match target.WhichOneof("selector"):
        case "index":
            yield from _in_range(target.index, f"{field}.index", card)
        case "rank":
            yield from _in_range(target.rank, f"{field}.rank", card)
        case "label":
            yield from _label(target.label, f"{field}.label", card)
        case _:
            yield fault(field, "TARGET_EMPTY", "names no class; set index, label or rank")
    if len(target.against) > len(card.model.labels):
        text = f"has {len(target.against)} entries; name each class once at most"
        yield fault(f"{field}.against", "TOO_MANY_CONTRASTS", text)
        return
    selected = _selected_index(target, card)
    for place, index in enumerate(target.against):
        yield from _in_range(index, f"{field}.against[{place}]", card)
        if index == selected:
            yield fault(
                f"{field}.against[{place}]", "CONTRAST_WITH_ITSELF", f"is {index}, the class itself; leave it out"
            )


def _selected_index(target: pb.ClassTarget, card: Card) -> int | None:
    if target.WhichOneof("selector") == "rank":
        return None  # the worker finds out
    return next(iter(card.indices(target.label)), None) if target.label else target.index


def _label(label: str, field: str, card: Card) -> Faults:
    indices = card.indices(label)
    if not indices:
        text = f"names no class of the model: {shown(label)}{hint(label, card.model.labels)}"
        yield fault(field, "LABEL_UNKNOWN", text)
    elif len(indices) > 1:
        text = f"is ambiguous: {shown(label)} is the label of classes {', '.join(map(str, indices))}; set index instead"
        yield fault(field, "LABEL_AMBIGUOUS", text)


def _in_range(number: int, field: str, card: Card) -> Faults:
    count = len(card.model.labels)
    if not 0 <= number < count:
        yield fault(field, "CLASS_OUT_OF_RANGE", f"is {number}; the model has classes 0 to {count - 1}")
