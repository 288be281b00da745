"""Pictures to evaluate on."""

import numpy as np
import torch

from evaluation.measures.segmentation import BACKGROUND
from evaluation.pictures.scenes import SET_SIZE, pictures
from model_store.scenes.dataset import HELD_OUT_SEEDS
from model_store.scenes.drawing import draw, masks
from model_store.scenes.scene import one_class_scene, two_class_scene
from model_store.scenes.vocabulary import SHAPES

KINDS = ["one-class", "two-class"]


def test_labels_truth_and_boxes_are_those_of_the_scene() -> None:
    found = pictures(KINDS, 1, [3, 4], (48, 40))
    block = HELD_OUT_SEEDS[1_000_000 + SET_SIZE :]
    for row, scene in enumerate([two_class_scene(block[3]), one_class_scene(block[4])]):
        picture = draw(scene, 40, 48)
        np.testing.assert_array_equal(found.images[row].permute(1, 2, 0).numpy(), picture.astype(np.float32) / 255)
        truth = np.full((48, 40), BACKGROUND)
        visible = masks(scene, 40, 48)
        for item, mask in zip(scene.objects, visible, strict=True):
            truth[mask] = SHAPES.index(item.shape)
        np.testing.assert_array_equal(found.truth[row].numpy(), truth)
        most = scene.objects[int(visible.sum((1, 2)).argmax())].shape
        assert int(found.labels[row]) == SHAPES.index(most)
        inside = np.zeros((48, 40), dtype=bool)
        for left, top, right, bottom in found.boxes_of(found.labels)[row]:
            inside[top:bottom, left:right] = True
        own = found.masks_of(found.labels)[row].numpy()
        assert own.any()
        assert not (own & ~inside).any()
        assert len(found.boxes_of(found.labels)[row]) == sum(item.shape == most for item in scene.objects)


def test_a_batch_is_what_single_pictures_are_and_sets_are_disjoint() -> None:
    batch = pictures(KINDS, 0, range(3), (32, 32))
    for index in range(3):
        single = pictures(KINDS, 0, [index], (32, 32))
        assert torch.equal(single.images[0], batch.images[index])
        assert torch.equal(single.truth[0], batch.truth[index])
        assert single.labels[0] == batch.labels[index]
    other = pictures(KINDS, 1, range(3), (32, 32))
    assert not any(torch.equal(a, b) for a in batch.images for b in other.images)


def test_absent_classes_have_empty_masks() -> None:
    found = pictures(["one-class"], 0, [0], (32, 32))
    absent = (found.labels + 1) % len(SHAPES)
    assert not found.masks_of(absent).any()
