"""Maps land where the geometry says, against closed forms."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from camserve.rendering import (
    COLORMAPS,
    color_picture,
    colorize,
    default_colormap,
    encode_png,
    normalize,
    overlay,
    overlay_picture,
    place,
    resize,
)

BOXES = [(0, 0, 64, 48), (8, 4, 40, 36), (7.3, 5.8, 51.9, 33.1), (-10, -6.5, 74, 54.5)]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("smooth", [False, True])
def test_a_linear_ramp_stays_linear_on_the_image(box: tuple[float, float, float, float], smooth: bool) -> None:
    left, top, right, bottom = box
    cell_width, cell_height = (right - left) / 7, (bottom - top) / 5
    # The ramp's value at a point of the image is x + 2 y, in pixels.
    x = left + (np.arange(7) + 0.5) * cell_width
    y = top + (np.arange(5) + 0.5) * cell_height
    placed = place(x[None, :] + 2 * y[:, None], box, 48, 64, smooth=smooth)
    px, py = np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5)
    edge = 1.5 if smooth else 0.5  # cubic interpolation reaches one cell further
    inner = (abs(px - (left + right) / 2) <= (right - left) / 2 - edge * cell_width) & (
        abs(py - (top + bottom) / 2) <= (bottom - top) / 2 - edge * cell_height
    )
    assert inner.sum() > 50
    np.testing.assert_allclose(placed[inner], (px + 2 * py)[inner], rtol=1e-5)
    outside = (px < left) | (px >= right) | (py < top) | (py >= bottom)
    assert (placed[outside] == 0).all()


@pytest.mark.parametrize("smooth", [False, True])
@given(row=st.integers(2, 3), column=st.integers(2, 4))  # far from the edges, which hold their values
def test_a_cell_lands_where_its_centre_is(smooth: bool, row: int, column: int) -> None:
    box = (20.5, 10.25, 160.5, 110.25)
    values = np.zeros((6, 7), dtype=np.float32)
    values[row, column] = 1
    placed = place(values, box, 120, 200, smooth=smooth)
    x = (placed.sum(axis=0) * (np.arange(200) + 0.5)).sum() / placed.sum()
    y = (placed.sum(axis=1) * (np.arange(120) + 0.5)).sum() / placed.sum()
    assert x == pytest.approx(20.5 + (column + 0.5) * 20, abs=0.6)
    assert y == pytest.approx(10.25 + (row + 0.5) * 100 / 6, abs=0.6)


def test_edges_hold_the_value_of_the_outermost_cell() -> None:
    placed = place(np.array([[1.0, 3.0]]), (0, 0, 8, 2), 2, 8)
    np.testing.assert_allclose(placed[0], [1, 1, 1.25, 1.75, 2.25, 2.75, 3, 3])


def test_a_box_beyond_the_image_is_cut() -> None:
    placed = place(np.array([[1.0, 2.0, 3.0, 4.0]]), (-4, 0, 4, 1), 1, 6, outside=9)
    np.testing.assert_allclose(placed[0], [2.75, 3.25, 3.75, 4, 9, 9])
    assert (place(np.ones((2, 2)), (100, 100, 120, 120), 10, 10) == 0).all()


@pytest.mark.parametrize("smooth", [False, True])
def test_cell_centres_keep_their_values(smooth: bool) -> None:
    values = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    placed = place(values, (0, 0, 21, 15), 15, 21, smooth=smooth)
    np.testing.assert_allclose(placed[1::3, 1::3], values, rtol=1e-5)


def test_resize_to_the_own_size_changes_nothing() -> None:
    values = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    np.testing.assert_array_equal(resize(values, 5, 7), values)


def test_place_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="values: expected a map"):
        place(np.zeros((2, 2, 2)), (0, 0, 4, 4), 4, 4)
    with pytest.raises(ValueError, match="values: expected a map"):
        place(np.zeros((0, 2)), (0, 0, 4, 4), 4, 4)
    with pytest.raises(ValueError, match="box: expected left < right"):
        place(np.zeros((2, 2)), (4, 0, 4, 4), 4, 4)


def test_normalize_spans_zero_to_one() -> None:
    np.testing.assert_allclose(normalize(np.array([-1.0, 0.0, 3.0])), [0, 0.25, 1])
    np.testing.assert_allclose(normalize(np.array([-1.0, 0.0, 4.0]), symmetric=True), [0.375, 0.5, 1])
    np.testing.assert_allclose(normalize(np.array([-4.0, 0.0, 1.0]), symmetric=True), [0, 0.5, 0.625])


def test_normalize_of_a_flat_map() -> None:
    assert (normalize(np.full((2, 2), 7.0)) == 0).all()
    assert (normalize(np.zeros((2, 2)), symmetric=True) == 0.5).all()


def test_normalize_survives_the_ends_of_float32() -> None:
    largest = float(np.finfo(np.float32).max)
    np.testing.assert_array_equal(normalize(np.array([-largest, 0, largest])), [0, 0.5, 1])


@pytest.mark.parametrize(
    ("name", "first", "middle", "last"),
    [
        ("turbo", (48, 18, 59), (164, 252, 60), (122, 4, 3)),
        ("viridis", (68, 1, 84), (33, 145, 140), (253, 231, 37)),
        ("jet", (0, 0, 128), (128, 255, 128), (128, 0, 0)),
        ("gray", (0, 0, 0), (128, 128, 128), (255, 255, 255)),
        ("coolwarm", (59, 76, 192), (221, 221, 221), (180, 4, 38)),
    ],
)
def test_colormaps_have_their_published_colours(
    name: str, first: tuple[int, ...], middle: tuple[int, ...], last: tuple[int, ...]
) -> None:
    colors = colorize(np.array([[-1.0, 0.5, 2.0]]), name)[0].astype(int)
    np.testing.assert_allclose(colors, [first, middle, last], atol=2)
    assert COLORMAPS[name].shape == (256, 3)


def test_an_unknown_colormap_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'hot' is not one of turbo, viridis"):
        colorize(np.zeros((2, 2)), "hot")


def test_overlay_is_a_constant_blend() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    unit = np.random.default_rng(1).random((6, 8))
    blended = overlay(image, unit, "viridis", 0.3)
    expected = 0.7 * image + 0.3 * colorize(unit, "viridis")
    np.testing.assert_allclose(blended, expected, atol=1)
    np.testing.assert_array_equal(overlay(image, unit, "turbo", 0.0), image)
    np.testing.assert_array_equal(overlay(image, unit, "turbo", 1.0), colorize(unit, "turbo"))


def test_overlay_says_what_is_wrong() -> None:
    image = np.zeros((6, 8, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="opacity"):
        overlay(image, np.zeros((6, 8)), "turbo", 1.5)
    with pytest.raises(ValueError, match="unit: expected shape"):
        overlay(image, np.zeros((8, 6)), "turbo")


def test_maps_with_negative_values_get_a_diverging_colormap() -> None:
    assert default_colormap(np.array([[0.0, 1.0]])) == "turbo"
    assert default_colormap(np.array([[-0.1, 1.0]])) == "coolwarm"


def test_overlay_picture_leaves_what_the_model_did_not_see() -> None:
    image = np.full((20, 30, 3), 200, dtype=np.uint8)
    picture = overlay_picture(image, np.array([[0.0, 1.0]]), (5, 0, 25, 20), "jet", 0.5)
    assert (picture[:, :5] == 200).all()
    assert (picture[:, 25:] == 200).all()
    assert picture[10, 6].tolist() == [100, 100, 164]  # half the image, half jet's lowest colour
    assert picture[10, 23].tolist() == [164, 100, 100]
    assert (image == 200).all()


def test_overlay_picture_of_a_box_that_misses_the_image_is_the_image() -> None:
    image = np.full((20, 30, 3), 200, dtype=np.uint8)
    np.testing.assert_array_equal(overlay_picture(image, np.ones((2, 2)), (40, 0, 50, 20)), image)


def test_color_picture_shows_zero_outside_the_box() -> None:
    picture = color_picture(np.array([[-1.0, 1.0]]), (5, 0, 25, 20), 20, 30)
    assert picture.shape == (20, 30, 3)
    np.testing.assert_array_equal(picture[:, 0], colorize(np.full((1, 20), 0.5), "coolwarm")[0])
    np.testing.assert_array_equal(color_picture(np.array([[0.0, 1.0]]), (5, 0, 25, 20), 20, 30)[0, 0], [48, 18, 59])


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_encode_png_is_lossless(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encode_png(picture)))), picture)
