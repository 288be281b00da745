"""Where glances are told to look: at what the words so far speak of, and at what the next one does."""

import math

import pytest
import torch

from model_store.scenes.language import QUESTION_KINDS, Question, describe, questions
from model_store.scenes.scene import Scene, SceneObject, general_scene
from model_store.scenes.training.looking import (
    ANYWHERE,
    looking_loss,
    wanted_by_caption,
    wanted_by_question,
    wanted_table,
)
from model_store.scenes.training.owners import NOBODY, Owners


def item(shape: str, colour: str, extent: float, x: float, y: float = 0.0) -> SceneObject:
    return SceneObject(shape, colour, "plain", extent, x, y, 0.0, (0.5, 0.5, 0.5))


THREE = Scene(
    0, (item("circle", "red", 0.15, -0.3), item("square", "blue", 0.5, 0.2), item("star", "black", 0.13, -0.3, -0.35))
)


def test_glances_follow_the_caption() -> None:
    caption = describe(THREE)
    assert caption.text == "a large blue square right of a small red circle with a small black star"
    words = [*caption.text.split(), "END"]
    back, ahead = wanted_by_caption(caption, len(words))
    free = ANYWHERE
    #                       a large blue square right of a small red circle with a small black star END
    assert ahead == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, free]
    assert back == [free, free, free, free, 1, 1, 1, free, free, free, 0, 0, free, free, free, 2]


@pytest.mark.parametrize("seed", range(20))
def test_the_second_glance_is_on_the_object_that_a_phrase_names(seed: int) -> None:
    caption = describe(general_scene(seed))
    length = len(caption.text.split()) + 1
    back, ahead = wanted_by_caption(caption, length)
    assert len(back) == len(ahead) == length
    for phrase in caption.phrases:
        assert set(ahead[phrase.start : phrase.stop]) == {phrase.objects[-1]}
        if len(phrase.objects) == 2:
            assert set(back[phrase.start : phrase.stop]) == {phrase.objects[0]}


def test_glances_follow_questions() -> None:
    assert wanted_by_question(Question("what colour is the star?", "black", "colour", (2,))) == [2, ANYWHERE]
    assert wanted_by_question(Question("how many stars are there?", "one", "count", (2,))) == [ANYWHERE, ANYWHERE]
    assert wanted_by_question(Question("is there a red star?", "no", "existence", ())) == [ANYWHERE, ANYWHERE]
    assert wanted_by_question(Question("is the red circle left of the blue square?", "yes", "relation", (0, 1))) == [
        0,
        1,
    ]
    for seed in range(20):
        for question in questions(general_scene(seed)):
            assert question.kind in QUESTION_KINDS
            assert len(wanted_by_question(question)) == 2


def test_the_loss_is_that_of_the_share_on_the_object() -> None:
    owners = torch.tensor([[[0, 0], [1, NOBODY]]])
    looks = torch.tensor([[[0.3, 0.2, 0.4, 0.1], [0.0, 0.0, 0.0, 1.0], [0.25, 0.25, 0.25, 0.25]]])
    for wanted, share in (([0, ANYWHERE, ANYWHERE], 0.5), ([1, ANYWHERE, ANYWHERE], 0.4), ([ANYWHERE, 3, 0], 0.5)):
        found = looking_loss(looks, torch.tensor([wanted]), owners)
        assert found.item() == pytest.approx(-math.log(share), abs=1e-3)  # object 3 owns nothing here
    nothing = looking_loss(looks.requires_grad_(), torch.full((1, 3), ANYWHERE), owners)
    nothing.backward()
    assert nothing.item() == 0


def test_owners_are_mirrored_with_their_picture() -> None:
    owners = Owners([THREE])
    for side in (7, 14):
        plain, mirrored = (owners.at(torch.tensor([0]), torch.tensor([flag]), side)[0] for flag in (False, True))
        assert torch.equal(mirrored, plain.flip(1))
        assert set(plain.unique().tolist()) >= {NOBODY, 0, 1}
    with pytest.raises(KeyError):
        owners.at(torch.tensor([0]), torch.tensor([False]), 9)


def test_captions_of_other_lengths_are_filled_up() -> None:
    table = wanted_table([[[1, 2], [3, 4]], [[5, 6, 7], [8, 9, 10]]])
    assert table.tolist() == [[[1, 2, ANYWHERE], [3, 4, ANYWHERE]], [[5, 6, 7], [8, 9, 10]]]
