"""From image to tensor, and which part of the image the tensor shows."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from camserve.image import ImageLimits, decode_image
from handlers.preprocessing import fitted, prepare
from model_store.sections import Preprocessing


def _recipe(fit: str, size: tuple[int, int] = (32, 64)) -> Preprocessing:
    return Preprocessing.model_validate({"size": size, "fit": fit, "mean": [0.5, 0.4, 0.3], "std": [0.5, 0.25, 0.2]})


def _encoded(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("fit", "width", "height", "region"),
    [
        ("stretch", 300, 90, (0, 0, 300, 90)),
        ("crop", 300, 100, (50, 0, 250, 100)),
        ("crop", 100, 300, (0, 125, 100, 175)),
        ("pad", 300, 100, (0, -25, 300, 125)),
        ("pad", 100, 300, (-250, 0, 350, 300)),
    ],
)
def test_the_region_has_the_inputs_shape(
    fit: str, width: int, height: int, region: tuple[float, float, float, float]
) -> None:
    assert fitted(width, height, _recipe(fit)) == region


@pytest.mark.parametrize(("width", "height"), [(512, 256), (256, 512), (300, 300)])
def test_a_crop_share_is_resizing_to_more_and_cutting_out_the_input(width: int, height: int) -> None:
    recipe = Preprocessing.model_validate(
        {"size": [224, 224], "fit": "crop", "crop_share": 0.875, "mean": [0.5] * 3, "std": [0.5] * 3}
    )
    side = min(width, height) * 224 / 256
    expected = (width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2
    assert fitted(width, height, recipe) == expected


def test_pixels_are_normalised_per_channel() -> None:
    pixels = np.full((32, 64, 3), (255, 0, 51), np.uint8)
    picture = prepare(_encoded(pixels), _recipe("stretch"), ImageLimits())
    assert picture.tensor.shape == (3, 32, 64)
    assert picture.tensor.dtype == torch.float32
    expected = torch.tensor([(1 - 0.5) / 0.5, (0 - 0.4) / 0.25, (0.2 - 0.3) / 0.2])
    torch.testing.assert_close(picture.tensor, expected[:, None, None].expand(3, 32, 64))


def test_crop_shows_the_middle() -> None:
    pixels = np.zeros((64, 256, 3), np.uint8)
    pixels[:, 64:192] = 255
    picture = prepare(_encoded(pixels), _recipe("crop"), ImageLimits())
    assert picture.region == (64, 0, 192, 64)
    assert (picture.tensor[0, :, 1:-1] == 1).all()  # the outermost columns blend with their neighbours beyond the cut


def test_pad_fills_with_the_mean_and_places_the_image() -> None:
    pixels = np.full((64, 64, 3), 255, np.uint8)
    picture = prepare(_encoded(pixels), _recipe("pad"), ImageLimits())
    assert picture.region == (-32, 0, 96, 64)
    inside = torch.zeros(32, 64, dtype=torch.bool)
    inside[:, 16:48] = True
    assert (picture.tensor[0][inside] == 1).all()
    torch.testing.assert_close(picture.tensor[0][~inside], torch.zeros(32 * 32))


def test_the_original_size_is_kept() -> None:
    picture = prepare(_encoded(np.zeros((50, 70, 3), np.uint8)), _recipe("stretch"), ImageLimits())
    assert (picture.size.height, picture.size.width) == (50, 70)
    assert (picture.box.right, picture.box.bottom) == (70, 50)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_reduced_on_the_way_and_looks_the_same(
    orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, columns = np.mgrid[0:600, 0:1000]
    waves = 127 + 60 * np.sin(rows / 40) + 60 * np.cos(columns / 60)
    image = Image.fromarray(np.stack([waves, waves[::-1], 255 - waves], -1).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, exif=exif)
    sizes = []

    def seen(*args: object, **kwargs: object) -> Image.Image:
        whole = decode_image(*args, **kwargs)  # type: ignore[arg-type]
        sizes.append((whole.height, whole.width))
        return whole

    monkeypatch.setattr("handlers.preprocessing.decode_image", seen)
    recipe = _recipe("crop")
    found = prepare(file.getvalue(), recipe, ImageLimits())
    monkeypatch.setattr("handlers.preprocessing._REDUCING_GAP", 1000.0)
    whole = prepare(file.getvalue(), recipe, ImageLimits())
    assert sizes == [(150, 250), (600, 1000)] if orientation == 1 else sizes == [(250, 150), (1000, 600)]
    assert (found.width, found.height, found.region) == (whole.width, whole.height, whole.region)
    assert (found.tensor - whole.tensor).abs().mean() < 0.02
