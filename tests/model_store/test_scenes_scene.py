"""What sampled scenes promise: their classes, sizes, names, and that every object can be seen."""

import numpy as np
import pytest

from model_store.scenes.drawing import masks
from model_store.scenes.scene import (
    MAX_OBJECTS,
    MIN_VISIBLE,
    Scene,
    general_scene,
    one_class_scene,
    two_class_scene,
)
from model_store.scenes.vocabulary import COLOURS, SHAPES, SIZES, TEXTURES

SAMPLERS = (one_class_scene, two_class_scene, general_scene)
SCENES = [sampler(seed) for sampler in SAMPLERS for seed in range(150)]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_seed_decides(sampler: object) -> None:
    assert callable(sampler)
    assert sampler(7) == sampler(7)
    assert sampler(7).objects != sampler(8).objects


def test_layouts_do_not_change_between_versions() -> None:
    scene = two_class_scene(2024)
    assert [(item.size, item.colour, item.shape) for item in scene.objects] == [
        ("large", "pink", "triangle"),
        ("medium", "red", "heart"),
    ]


def test_number_of_classes() -> None:
    for seed in range(200):
        assert len(one_class_scene(seed).shapes) == 1
        assert len(two_class_scene(seed).shapes) == 2
    assert {len(one_class_scene(seed).objects) for seed in range(200)} == {1, 2}
    assert {len(general_scene(seed).objects) for seed in range(200)} == set(range(1, MAX_OBJECTS + 1))


def test_requested_classes() -> None:
    assert one_class_scene(3, "heart").shapes == ("heart",)
    assert set(two_class_scene(3, ("star", "ring")).shapes) == {"star", "ring"}
    with pytest.raises(ValueError, match="unknown"):
        one_class_scene(3, "blob")
    with pytest.raises(ValueError, match="different"):
        two_class_scene(3, ("star", "star"))


def test_every_class_colour_texture_and_size_occurs() -> None:
    objects = [item for scene in SCENES for item in scene.objects]
    assert {item.shape for item in objects} == set(SHAPES)
    assert {item.colour for item in objects} == set(COLOURS)
    assert {item.texture for item in objects} == set(TEXTURES)
    assert {item.size for item in objects} == set(SIZES)


def test_sizes_and_colours_are_as_named() -> None:
    for item in (item for scene in SCENES for item in scene.objects):
        low, high = SIZES[item.size]
        assert low <= item.extent <= high
        assert 0 <= min(item.rgb) <= max(item.rgb) <= 1
        offsets = {name: np.subtract(item.rgb, rgb) for name, rgb in COLOURS.items()}
        nearest = min(offsets, key=lambda name: float(np.linalg.norm(offsets[name])))
        assert nearest == item.colour


def test_names_are_unique_in_a_scene() -> None:
    for scene in SCENES:
        assert len({(item.colour, item.shape) for item in scene.objects}) == len(scene.objects)


def test_every_object_is_whole_and_visible() -> None:
    overlaps = 0
    for scene in SCENES:
        visible = masks(scene, 160, 160)
        for mask, item in zip(visible, scene.objects, strict=True):
            alone = masks(Scene(scene.seed, (item,)), 160, 160)[0]
            border = np.concatenate([alone[0], alone[-1], alone[:, 0], alone[:, -1]])
            assert not border.any(), "cut off"
            share = mask.sum() / alone.sum()
            assert share >= MIN_VISIBLE
            overlaps += share < 0.95
    assert overlaps > 20, "overlap is part of the task"
