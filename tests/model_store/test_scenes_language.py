"""Captions and questions, read back word by word and checked against masks and colours."""

import re
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from model_store.scenes.drawing import masks
from model_store.scenes.language import QUESTION_KINDS, Question, ask, describe, questions, words
from model_store.scenes.scene import Scene, general_scene, one_class_scene, two_class_scene
from model_store.scenes.vocabulary import (
    ANSWERS,
    CAPTION_WORDS,
    COLOURS,
    NUMBERS,
    PLURALS,
    QUESTION_WORDS,
    RELATIONS,
    SHAPES,
)

SCENES = [sampler(seed) for sampler in (one_class_scene, two_class_scene, general_scene) for seed in range(250)]
SIDE = 128


def centres(scene: Scene) -> NDArray[np.float64]:
    """Centre of mass of each object, `[objects, 2]` as x, y in pixels, as if nothing hid it."""
    alone = [masks(Scene(scene.seed, (item,)), SIDE, SIDE)[0] for item in scene.objects]
    return np.array([np.argwhere(mask).mean(0)[::-1] for mask in alone])


def holds(name: str, first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    dx, dy = first - second
    sideways = abs(dx) > abs(dy)
    return {
        "left of": sideways and dx < 0,
        "right of": sideways and dx > 0,
        "above": not sideways and dy < 0,
        "below": not sideways and dy > 0,
    }[name]


def named(scene: Scene, colour: str, shape: str) -> list[int]:
    return [i for i, item in enumerate(scene.objects) if (item.colour, item.shape) == (colour, shape)]


def test_captions_name_every_object_once_and_truly() -> None:
    for scene in SCENES:
        caption = describe(scene)
        spoken = words(caption.text)
        seen = []
        for phrase in caption.phrases:
            part = spoken[phrase.start : phrase.stop]
            if part[0] == "a":
                _, size, colour, shape = part
                assert named(scene, colour, shape) == list(phrase.objects)
                mask = masks(Scene(0, (scene.objects[phrase.objects[0]],)), SIDE, SIDE)
                # A turned square is wider than its side: compare areas, which no turn changes.
                scale = np.sqrt(mask.sum() / SIDE**2)
                bounds = {"small": (0.0, 0.22), "medium": (0.13, 0.4), "large": (0.22, 0.65)}[size]
                assert bounds[0] < scale < bounds[1]
                seen.append(phrase.objects[0])
            else:
                first, second = phrase.objects
                assert holds(" ".join(part), *centres(scene)[[first, second]])
        assert sorted(seen) == list(range(len(scene.objects)))


def test_caption_phrases_lie_where_the_relation_is_said() -> None:
    for scene in SCENES:
        phrases = describe(scene).phrases
        for position, phrase in enumerate(phrases):
            if len(phrase.objects) == 2:
                assert phrases[position - 1].objects == phrase.objects[:1]
                assert phrases[position + 1].objects == phrase.objects[1:]
                assert phrases[position - 1].stop == phrase.start
                assert phrases[position + 1].start == phrase.stop


def test_most_pairs_get_a_relation() -> None:
    pairs = [describe(scene) for scene in SCENES if len(scene.objects) == 2]
    related = [any(len(phrase.objects) == 2 for phrase in caption.phrases) for caption in pairs]
    assert np.mean(related) > 0.55


def derive(scene: Scene, question: Question) -> tuple[str, list[int]]:
    """The answer, and the objects it rests on, from the question's text alone."""
    text, objects = question.text, scene.objects
    if match := re.fullmatch(r"what colour is the (\w+)\?", text):
        found = [i for i, item in enumerate(objects) if item.shape == match[1]]
        assert len(found) == 1, "ambiguous"
        return objects[found[0]].colour, found
    if match := re.fullmatch(r"what shape is the (\w+) object\?", text):
        found = [i for i, item in enumerate(objects) if item.colour == match[1]]
        assert len(found) == 1, "ambiguous"
        return objects[found[0]].shape, found
    if match := re.fullmatch(r"is there an? (\w+) (\w+)\?", text):
        found = named(scene, match[1], match[2])
        return "yes" if found else "no", found
    if match := re.fullmatch(r"how many (\w+) are there\?", text):
        shape = {plural: singular for singular, plural in PLURALS.items()}[match[1]]
        found = [i for i, item in enumerate(objects) if item.shape == shape]
        return NUMBERS[len(found)], found
    match = re.fullmatch(r"is the (\w+) (\w+) (left of|right of|above|below) the (\w+) (\w+)\?", text)
    assert match, text
    (first,), (second,) = named(scene, match[1], match[2]), named(scene, match[4], match[5])
    middle = centres(scene)
    truth = holds(match[3], middle[first], middle[second])
    assert truth or holds(RELATIONS[match[3]], middle[first], middle[second]), "neither it nor its opposite"
    return "yes" if truth else "no", [first, second]


def test_answers_are_true() -> None:
    for scene in SCENES:
        for question in questions(scene):
            assert (question.answer, list(question.objects)) == derive(scene, question)


def test_the_vocabulary_is_closed_and_used_up() -> None:
    captions = {word for scene in SCENES for word in words(describe(scene).text)}
    assert captions == set(CAPTION_WORDS)
    asked = [question for scene in SCENES for question in questions(scene)]
    assert {word for question in asked for word in words(question.text)} == set(QUESTION_WORDS)
    assert {question.kind for question in asked} == set(QUESTION_KINDS)
    assert {question.answer for question in asked} <= set(ANSWERS)
    assert set(SHAPES) | set(COLOURS) | {"yes", "no", "zero", "one", "two"} <= {item.answer for item in asked}


@pytest.mark.parametrize("kind", ["existence", "relation"])
def test_yes_and_no_are_balanced(kind: str) -> None:
    answers = Counter(q.answer for scene in SCENES for q in questions(scene) if q.kind == kind)
    assert set(answers) == {"yes", "no"}
    assert 0.42 < answers["yes"] / answers.total() < 0.58


def test_words_do_not_give_the_answer_away() -> None:
    """The word of a shape or a colour in a yes/no question says nothing about the answer."""
    rng = np.random.default_rng(0)
    asked = [ask(scene, "existence", rng) for scene in SCENES for _ in range(8)]
    for word in (*COLOURS, *SHAPES):
        answers = [question.answer for question in asked if question and word in words(question.text)]
        assert 0.35 < np.mean([answer == "yes" for answer in answers]) < 0.65


def test_the_seed_decides_and_unknown_kinds_raise() -> None:
    scene = general_scene(3)
    assert questions(scene) == questions(scene)
    with pytest.raises(ValueError, match="unknown kind"):
        ask(scene, "why", np.random.default_rng(0))
    lone = one_class_scene(next(seed for seed in range(99) if len(one_class_scene(seed).objects) == 1))
    assert ask(lone, "relation", np.random.default_rng(0)) is None
