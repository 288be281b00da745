"""Which maps are measured against which objects; the measures themselves are tested beside ``pointing``."""

import torch

from evaluation.words import Aimed, answer_maps, caption_maps, centre, load, row
from model_store.scenes.drawing import masks
from model_store.scenes.language import describe
from model_store.scenes.scene import two_class_scene
from model_store.scenes.training.fit import SIDE

SCENE = two_class_scene(10_009_000)


def test_each_colour_and_shape_word_is_aimed_at_its_object() -> None:
    aimed = list(caption_maps(load("scenes-captioner", trained=False), SCENE, "grad-cam"))
    owners = [phrase.objects[0] for phrase in describe(SCENE).phrases if len(phrase.objects) == 1]
    visible = torch.from_numpy(masks(SCENE, SIDE, SIDE))
    assert len(aimed) == 2 * len(SCENE.objects)
    for one, owner in zip(aimed, [owner for owner in owners for _ in range(2)], strict=True):
        assert one.map.shape == (SIDE, SIDE)
        assert torch.equal(one.mask, visible[owner])
        assert not (one.mask & one.others).any()
        assert torch.equal(one.mask | one.others, visible.any(0))


def test_answers_are_aimed_at_the_shape_in_the_question() -> None:
    aimed = list(answer_maps(load("scenes-vqa", trained=False), SCENE, "grad-cam"))
    alone = [item.shape for item in SCENE.objects if [other.shape for other in SCENE.objects].count(item.shape) == 1]
    assert [one.question for one in aimed] == ["answer", "counter"] * len(alone)
    assert not any(torch.equal(one.map, other.map) for one, other in zip(aimed[::2], aimed[1::2], strict=True))


def test_the_table_tells_hits_from_misses() -> None:
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[50:62, 50:62] = True
    there = Aimed("answer", mask.float(), mask, ~mask)
    assert row("x", [there]).split() == ["x", "1.000", "1.000", "1.000", "0.000", "1"]
    elsewhere = Aimed("answer", 1 - mask.float(), mask, ~mask)
    assert row("x", [there, elsewhere]).split() == ["x", "0.500", "0.500", "0.500", "0.500", "2"]
    assert row("x", centre([elsewhere])).split()[:3] == ["x", "1.000", "1.000"]
