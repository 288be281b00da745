"""True sentences about scenes: captions, and questions with their answers, tied to the objects they speak of.

Text is lower-case, words are separated by single spaces, and a question ends in "?". Every word is in
`vocabulary.CAPTION_WORDS` or `vocabulary.QUESTION_WORDS`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final, TypeVar

import numpy as np

from model_store.scenes.scene import Scene, SceneObject
from model_store.scenes.vocabulary import COLOURS, NUMBERS, PLURALS, RELATIONS, SHAPES

QUESTION_KINDS: Final = ("colour", "shape", "existence", "count", "relation")
"""What a question can ask for."""

_LANGUAGE_STREAM = 3  # of the scene's seed
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A span of a caption's words and the objects that it speaks of.

    Attributes:
        start: Index of the first word.
        stop: Index after the last word.
        objects: Indexes into `Scene.objects`: one for a noun phrase, two for a relation.
    """

    start: int
    stop: int
    objects: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Caption:
    """A true description of a scene.

    Attributes:
        text: For example "a small red circle left of a large blue square".
        phrases: Spans in the order of the text; words outside them ("and", "with") speak of no object.
    """

    text: str
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A question that has one true answer.

    Attributes:
        text: For example "what colour is the star?".
        answer: One of `ANSWERS`.
        kind: One of `QUESTION_KINDS`.
        objects: Indexes into `Scene.objects` of those that the answer rests on; none if what is asked for is absent.
    """

    text: str
    answer: str
    kind: str
    objects: tuple[int, ...]


def words(text: str) -> list[str]:
    """Split a caption or a question into its words."""
    return text.removesuffix("?").split()


def relation(first: SceneObject, second: SceneObject) -> str | None:
    """How the first object lies to the second, one of `RELATIONS`; None where people could disagree.

    Along the axis of a relation the centres are further apart than along the other axis, by a quarter and by a
    margin that grows with the objects.
    """
    dx, dy = first.x - second.x, first.y - second.y
    margin = 0.1 * (first.extent + second.extent)
    if abs(dx) > 1.25 * abs(dy) + margin:
        return "left of" if dx < 0 else "right of"
    if abs(dy) > 1.25 * abs(dx) + margin:
        return "above" if dy < 0 else "below"
    return None


def describe(scene: Scene) -> Caption:
    """Caption a scene with all of its objects, in pairs that have a clear relation, larger ones first."""
    objects = scene.objects
    by_size = sorted(range(len(objects)), key=lambda index: -objects[index].extent)
    # Of all orders the first with the most clear relations, so that size decides only between equals.
    order = max(permutations(by_size), key=lambda indexes: _clear_pairs(objects, indexes))
    text: list[str] = []
    phrases: list[Phrase] = []

    def say(part: str, *about: int) -> None:
        start = len(text)
        text.extend(part.split())
        if about:
            phrases.append(Phrase(start, len(text), about))

    for position, index in enumerate(order):
        item = objects[index]
        if position % 2:
            before = order[position - 1]
            link = relation(objects[before], item)
            if link is None:
                say("and")
            else:
                say(link, before, index)
        elif position:
            say("with")
        say(f"a {item.size} {item.colour} {item.shape}", index)
    return Caption(" ".join(text), tuple(phrases))


def questions(scene: Scene) -> tuple[Question, ...]:
    """One question of every kind that can be asked about a scene, drawn from the scene's seed."""
    rng = np.random.default_rng([scene.seed, _LANGUAGE_STREAM])
    asked = (ask(scene, kind, rng) for kind in QUESTION_KINDS)
    return tuple(question for question in asked if question is not None)


def ask(scene: Scene, kind: str, rng: np.random.Generator) -> Question | None:
    """Draw a question; yes and no are equally likely, and so are the counts that a scene offers.

    Args:
        scene: What to ask about.
        kind: One of `QUESTION_KINDS`.
        rng: Draws what is asked.

    Returns:
        None if the scene allows no clear question of the kind.

    Raises:
        ValueError: If the kind is unknown.
    """
    match kind:
        case "colour":
            return _ask_colour(scene, rng)
        case "shape":
            return _ask_shape(scene, rng)
        case "existence":
            return _ask_existence(scene, rng)
        case "count":
            return _ask_count(scene, rng)
        case "relation":
            return _ask_relation(scene, rng)
    raise ValueError(f"unknown kind of question {kind!r}; there are {list(QUESTION_KINDS)}")


def _clear_pairs(objects: Sequence[SceneObject], order: Sequence[int]) -> int:
    pairs = zip(order[::2], order[1::2], strict=False)
    return sum(relation(objects[first], objects[second]) is not None for first, second in pairs)


def _pick(items: Sequence[_Item], rng: np.random.Generator) -> _Item:
    return items[int(rng.integers(len(items)))]


def _ask_colour(scene: Scene, rng: np.random.Generator) -> Question | None:
    counts = Counter(item.shape for item in scene.objects)
    alone = [index for index, item in enumerate(scene.objects) if counts[item.shape] == 1]
    if not alone:
        return None
    index = _pick(alone, rng)
    item = scene.objects[index]
    return Question(f"what colour is the {item.shape}?", item.colour, "colour", (index,))


def _ask_shape(scene: Scene, rng: np.random.Generator) -> Question | None:
    counts = Counter(item.colour for item in scene.objects)
    alone = [index for index, item in enumerate(scene.objects) if counts[item.colour] == 1]
    if not alone:
        return None
    index = _pick(alone, rng)
    item = scene.objects[index]
    return Question(f"what shape is the {item.colour} object?", item.shape, "shape", (index,))


def _ask_existence(scene: Scene, rng: np.random.Generator) -> Question:
    index = int(rng.integers(len(scene.objects)))
    item = scene.objects[index]
    colour, shape = item.colour, item.shape
    answer, about = "yes", [index]
    if rng.random() < 0.5:
        # A near miss: a colour or a shape that is there, but not together.
        present = {(other.colour, other.shape) for other in scene.objects}
        misses = [(other, shape) for other in COLOURS] + [(colour, other) for other in SHAPES]
        colour, shape = _pick([miss for miss in misses if miss not in present], rng)
        answer, about = "no", []
    article = "an" if colour == "orange" else "a"
    return Question(f"is there {article} {colour} {shape}?", answer, "existence", tuple(about))


def _ask_count(scene: Scene, rng: np.random.Generator) -> Question:
    counts = Counter(item.shape for item in scene.objects)
    count = _pick(sorted({counts[shape] for shape in SHAPES}), rng)
    shape = _pick([shape for shape in SHAPES if counts[shape] == count], rng)
    about = tuple(index for index, item in enumerate(scene.objects) if item.shape == shape)
    return Question(f"how many {PLURALS[shape]} are there?", NUMBERS[count], "count", about)


def _ask_relation(scene: Scene, rng: np.random.Generator) -> Question | None:
    links = [
        (first, second, link)
        for first, second in permutations(range(len(scene.objects)), 2)
        if (link := relation(scene.objects[first], scene.objects[second])) is not None
    ]
    if not links:
        return None
    first, second, link = _pick(links, rng)
    answer = "yes" if rng.random() < 0.5 else "no"
    asked = link if answer == "yes" else RELATIONS[link]
    one, other = (f"the {scene.objects[index].colour} {scene.objects[index].shape}" for index in (first, second))
    return Question(f"is {one} {asked} {other}?", answer, "relation", (first, second))
