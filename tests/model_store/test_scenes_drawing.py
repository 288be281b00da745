"""Pixels and masks: the same bits from the same seed, the same picture at every resolution."""

import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model_store.scenes.drawing import boxes, draw, masks
from model_store.scenes.scene import Scene, general_scene, one_class_scene, two_class_scene


def shrink(image: NDArray[np.uint8], factor: int) -> NDArray[np.float64]:
    height, width = image.shape[0] // factor, image.shape[1] // factor
    blocks: NDArray[np.float64] = image.reshape(height, factor, width, factor, 3).mean((1, 3))
    return blocks


def test_same_seed_same_bits_in_another_process() -> None:
    script = (
        "from hashlib import sha256\n"
        "from model_store.scenes.drawing import draw\n"
        "from model_store.scenes.scene import general_scene\n"
        "print(sha256(draw(general_scene(5), 112, 112).tobytes()).hexdigest())"
    )
    root = Path(__file__).resolve().parents[2]
    output = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    picture = draw(general_scene(5), 112, 112)
    assert output.stdout.strip() == sha256(picture.tobytes()).hexdigest()
    assert (picture != draw(general_scene(6), 112, 112)).mean() > 0.5


def test_shape_and_type() -> None:
    picture = draw(general_scene(1), 90, 60)
    assert picture.shape == (60, 90, 3)
    assert picture.dtype == np.uint8
    with pytest.raises(ValueError, match="positive"):
        draw(general_scene(1), 0, 60)


@pytest.mark.parametrize("seed", range(6))
def test_resolution_does_not_change_the_picture(seed: int) -> None:
    scene = general_scene(seed)
    small, large = draw(scene, 112, 112), draw(scene, 448, 448)
    difference = np.abs(shrink(large, 4) - small)
    other = np.abs(draw(general_scene(seed + 50), 112, 112).astype(float) - small)
    assert difference.mean() < 7
    assert difference.mean() < other.mean() / 3
    fine = masks(scene, 448, 448).reshape(-1, 112, 4, 112, 4).mean((2, 4)) > 0.5
    coarse = masks(scene, 112, 112)
    for one, two in zip(fine, coarse, strict=True):
        assert (one & two).sum() / (one | two).sum() > 0.93


def test_circle_mask_has_the_circles_area_and_box() -> None:
    item = replace(one_class_scene(0, "circle").objects[0], extent=0.5, x=0.1, y=-0.05)
    mask = masks(Scene(0, (item,)), 400, 400)
    assert mask.sum() == pytest.approx(np.pi * 100**2, rel=0.002)
    assert boxes(mask).tolist() == [[140, 80, 340, 280]]


def test_front_objects_hide_back_objects() -> None:
    back = replace(one_class_scene(0, "square").objects[0], extent=0.6, x=0.0, y=0.0, rotation=0.0)
    front = replace(one_class_scene(0, "circle").objects[0], extent=0.3, x=0.0, y=0.0)
    behind, before = masks(Scene(0, (back, front)), 200, 200)
    assert before.sum() == pytest.approx(np.pi * 30**2, rel=0.01)
    assert behind.sum() == pytest.approx(120**2 - np.pi * 30**2, rel=0.01)
    assert not (behind & before).any()


def test_hidden_object_has_an_empty_box() -> None:
    back = replace(one_class_scene(0, "circle").objects[0], extent=0.15, x=0.0, y=0.0)
    front = replace(one_class_scene(0, "square").objects[0], extent=0.5, x=0.0, y=0.0)
    assert boxes(masks(Scene(0, (back, front)), 100, 100))[0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(("width", "height"), [(150, 100), (100, 150)])
def test_other_formats_extend_the_square(width: int, height: int) -> None:
    scene = two_class_scene(4)
    left, top = (width - 100) // 2, (height - 100) // 2
    wide = masks(scene, width, height)
    assert np.array_equal(wide[:, top : top + 100, left : left + 100], masks(scene, 100, 100))
    assert wide.sum() == masks(scene, 100, 100).sum()
    centre = draw(scene, width, height)[top : top + 100, left : left + 100].astype(float)
    assert np.abs(centre - draw(scene, 100, 100)).mean() < 10
    margin = draw(scene, width, height)[:top, :left] if top and left else draw(scene, width, height)[-10:, -10:]
    assert margin.std() > 0, "the background goes on"


def test_objects_have_their_colour_where_the_mask_is() -> None:
    for seed in range(40):
        scene = one_class_scene(seed)
        picture, visible = draw(scene, 112, 112), masks(scene, 112, 112)
        for item, mask in zip(scene.objects, visible, strict=True):
            mean = picture[mask].mean(0) / 255
            if item.colour == "black":
                assert mean.max() < 0.45
            elif item.colour == "white":
                assert mean.max() - mean.min() < 0.12
            else:
                shown, meant = mean - mean.min(), np.array(item.rgb) - min(item.rgb)
                cosine = shown @ meant / np.linalg.norm(shown) / np.linalg.norm(meant)
                assert cosine > 0.9, (seed, item)
