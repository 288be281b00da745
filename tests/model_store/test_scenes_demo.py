"""The demo pictures show what their names say."""

from model_store.scenes.dataset import HELD_OUT_SEEDS
from model_store.scenes.demo import demo_scenes
from model_store.scenes.scene import visible_shares
from model_store.scenes.vocabulary import SHAPES


def test_names_name_the_classes() -> None:
    for name, scene in demo_scenes():
        named = [shape for shape in SHAPES if shape in name]
        if named:
            assert list(scene.shapes) == named
        assert scene.seed in HELD_OUT_SEEDS


def test_the_mix_has_something_for_every_point() -> None:
    scenes = dict(demo_scenes())
    assert len(scenes) == 6
    assert len(scenes["cross"].objects) == 1
    assert len(scenes["four-objects"].objects) == 4
    assert scenes["small-square"].objects[0].extent <= 0.15
    assert min(item.extent for item in scenes["ring-and-small-circle"].objects) <= 0.15
    back, front = scenes["heart-before-star"].objects
    assert (back.shape, front.shape) == ("star", "heart")
    assert visible_shares([back, front])[0] < 0.95
