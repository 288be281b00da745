"""Images in every form that callers hold reach the server with the pixels that the caller sees."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from camserve.image import decode
from camserve.source import encode, pixels

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def test_encoded_images_and_files_are_sent_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(b"whatever is in the file")
    assert encode(b"bytes") == b"bytes"
    assert encode(path) == encode(str(path)) == b"whatever is in the file"


@pytest.mark.parametrize("image", [PIXELS, PIXELS[..., 0], Image.fromarray(PIXELS), Image.fromarray(PIXELS[..., 1])])
def test_pixels_are_sent_without_loss(image: Any) -> None:
    expected = np.asarray(image)
    if expected.ndim == 2:
        expected = np.repeat(expected[..., None], 3, axis=2)
    np.testing.assert_array_equal(decode(encode(image)), expected)
    np.testing.assert_array_equal(pixels(image), expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_pillow_modes(mode: str) -> None:
    image = Image.new("RGB", (40, 30), "white").convert(mode)
    np.testing.assert_allclose(pixels(image).astype(int), 255, atol=2)


def test_sixteen_bit_pillow_images() -> None:
    image = Image.fromarray(np.full((30, 40), 100 * 257, dtype=np.uint16))
    assert (pixels(image) == 100).all()


def test_a_non_contiguous_array() -> None:
    np.testing.assert_array_equal(pixels(PIXELS[::-1, ::2]), PIXELS[::-1, ::2])


def test_orientation_of_a_pillow_image_is_not_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG", exif=exif)
    opened = Image.open(stream)
    np.testing.assert_array_equal(pixels(opened), PIXELS)
    assert pixels(stream.getvalue()).shape == (40, 30, 3)


def test_small_pictures_can_still_be_drawn_on() -> None:
    assert pixels(np.zeros((1, 200), dtype=np.uint8)).shape == (1, 200, 3)


@pytest.mark.parametrize(
    ("image", "kind", "message"),
    [
        (7, TypeError, "got int"),
        (PIXELS / 255, TypeError, "uint8 array with values 0 to 255, got float64"),
        (PIXELS[..., :2], ValueError, r"got \[30, 40, 2\]"),
        (PIXELS.transpose(2, 0, 1), ValueError, r"got \[3, 30, 40\]"),
        (np.zeros((0, 4, 3), dtype=np.uint8), ValueError, r"got \[0, 4, 3\]"),
        (Image.new("F", (40, 30)), ValueError, "mode F"),
    ],
)
def test_other_things_are_refused(image: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        encode(image)
