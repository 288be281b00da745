"""Splits, soft targets and parallel drawing."""

import numpy as np

from model_store.scenes.dataset import HELD_OUT_SEEDS, KINDS, TRAINING_SEEDS, collect, draw_examples, soft_target
from model_store.scenes.drawing import draw
from model_store.scenes.scene import one_class_scene, two_class_scene
from model_store.scenes.vocabulary import SHAPES


def test_splits_are_disjoint() -> None:
    assert max(TRAINING_SEEDS) < min(HELD_OUT_SEEDS)


def test_soft_targets_share_equally_between_classes() -> None:
    single = soft_target(one_class_scene(5, "ring"))
    assert single.tolist() == [float(shape == "ring") for shape in SHAPES]
    pair = soft_target(two_class_scene(5, ("star", "heart")))
    assert pair.tolist() == [0.5 * (shape in ("star", "heart")) for shape in SHAPES]


def test_kinds_take_turns_over_the_seeds() -> None:
    examples = collect(draw_examples(["one-class", "two-class"], [11, 12, 13], 48))
    scenes = [KINDS["one-class"](11), KINDS["two-class"](12), KINDS["one-class"](13)]
    assert np.array_equal(examples.images, [draw(scene, 48, 48) for scene in scenes])
    assert np.array_equal(examples.targets, [soft_target(scene) for scene in scenes])


def test_workers_do_not_change_the_result() -> None:
    seeds = range(130)  # more than two chunks, the last one short
    alone = collect(draw_examples(list(KINDS), seeds, 32))
    together = collect(draw_examples(list(KINDS), seeds, 32, workers=2))
    assert len(alone.images) == 130
    assert np.array_equal(alone.images, together.images)
    assert np.array_equal(alone.targets, together.targets)
