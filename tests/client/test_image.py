"""Every kind of picture decodes to what a person sees, and every bad one is refused with its own reason."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from camserve.errors import InvalidArgumentError
from camserve.image import ImageHeader, ImageLimits, decode, read_header

Pixels = npt.NDArray[np.uint8]
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
WHITE = [255, 255, 255]


def save(image: Image.Image, format_: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def noise(height: int = 30, width: int = 40) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def refusal(read: Callable[..., object], data: bytes, limits: ImageLimits | None = None) -> InvalidArgumentError:
    with pytest.raises(InvalidArgumentError) as caught:
        read(data, limits or ImageLimits(), "request.image")
    error = caught.value
    assert error.message.startswith("request.image ")
    assert [violation.field for violation in error.violations] == ["request.image"]
    return error


@pytest.mark.parametrize(("format_", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_decode_exactly(format_: str, options: dict[str, object]) -> None:
    data = save(Image.fromarray(noise()), format_, **options)
    pixels = decode(data)
    np.testing.assert_array_equal(pixels, noise())
    assert pixels.flags.writeable
    assert read_header(data) == ImageHeader(format_, 40, 30)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_plain_colour_survives_every_format(format_: str) -> None:
    pixels = decode(save(Image.new("RGB", (40, 30), (200, 60, 40)), format_))
    assert pixels.shape == (30, 40, 3)
    np.testing.assert_allclose(pixels.astype(int), np.broadcast_to([200, 60, 40], (30, 40, 3)), atol=3)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(format_: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = save(Image.fromarray(noise()), format_, exif=exif)
    pixels = decode(data)
    np.testing.assert_array_equal(pixels, np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))))
    header = read_header(data)
    assert pixels.shape == (header.height, header.width, 3)


def test_broken_exif_does_no_harm() -> None:
    data = save(Image.fromarray(noise()), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\xff")
    np.testing.assert_array_equal(decode(data), noise())


def test_sixteen_bit_gray_is_scaled_not_clipped() -> None:
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    pixels = decode(save(Image.fromarray(levels * 257), "PNG"))
    np.testing.assert_array_equal(pixels, np.repeat(levels[..., None], 3, axis=2))


def test_transparent_sixteen_bit_gray_becomes_white() -> None:
    values = np.full((16, 16), 1000, dtype=np.uint16)
    values[:8] = 1001
    data = save(Image.fromarray(values), "PNG")
    keyed = data[:33] + _chunk(b"tRNS", struct.pack(">H", 1000)) + data[33:]
    pixels = decode(keyed)
    assert (pixels[8:] == 255).all()
    assert (pixels[:8] == 4).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize(("alpha", "expected"), [(0, 255), (255, 100), (51, 224)])
def test_alpha_is_composited_on_white(mode: str, alpha: int, expected: int) -> None:
    color = (100, alpha) if mode == "LA" else (100, 100, 100, alpha)
    pixels = decode(save(Image.new(mode, (20, 20), color), "PNG"))
    np.testing.assert_array_equal(pixels, np.full((20, 20, 3), expected))


@pytest.mark.parametrize("format_", ["PNG", "GIF"])
def test_a_transparent_palette_entry_becomes_white(format_: str) -> None:
    image = Image.new("P", (20, 20), 0)
    image.putpalette([10, 20, 30, 200, 60, 40])
    image.paste(1, (10, 0, 20, 20))
    pixels = decode(save(image, format_, transparency=0))
    np.testing.assert_array_equal(pixels[:, :10], np.broadcast_to(WHITE, (20, 10, 3)))
    np.testing.assert_array_equal(pixels[:, 10:], np.broadcast_to([200, 60, 40], (20, 10, 3)))


def test_a_transparent_colour_becomes_white() -> None:
    image = Image.new("RGB", (20, 20), (1, 2, 3))
    image.paste((200, 60, 40), (10, 0, 20, 20))
    pixels = decode(save(image, "PNG", transparency=(1, 2, 3)))
    assert pixels[0, 0].tolist() == WHITE
    assert pixels[0, 15].tolist() == [200, 60, 40]


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (32, 32), (0, 0, 0, 0))
    image.paste((0, 255, 255, 0), (16, 0, 32, 32))
    pixels = decode(save(image, "JPEG", quality=100, subsampling=0)).astype(int)
    np.testing.assert_allclose(pixels[:, :16], 255, atol=4)
    np.testing.assert_allclose(pixels[:, 16:], np.broadcast_to([255, 0, 0], (32, 16, 3)), atol=4)


def test_one_bit_and_gray() -> None:
    assert (decode(save(Image.new("1", (20, 20), 1), "PNG")) == 255).all()
    assert (decode(save(Image.new("L", (20, 20), 77), "BMP")) == 77).all()


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP"])
def test_the_first_frame_of_an_animation_is_taken(format_: str) -> None:
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "blue", "lime")]
    data = save(frames[0], format_, save_all=True, append_images=frames[1:])
    pixels = decode(data)
    assert pixels[..., 0].min() > 200
    assert pixels[..., 1:].max() < 50


def test_a_phone_jpeg_with_further_pictures_is_a_jpeg() -> None:
    frames = [Image.new("RGB", (40, 30), color) for color in ("red", "blue")]
    data = save(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert read_header(data).format == "JPEG"
    assert decode(data)[..., 0].min() > 200


@pytest.mark.parametrize("read", [read_header, decode])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "IMAGE_EMPTY"),
        (b"not a picture, though its name ends in .jpg", "IMAGE_NOT_RECOGNISED"),
        (save(Image.new("RGB", (40, 30)), "TIFF"), "IMAGE_NOT_RECOGNISED"),
        (save(Image.new("RGB", (40, 30)), "JPEG")[:15], "IMAGE_TRUNCATED"),
        (save(Image.new("RGB", (1, 1)), "PNG"), "IMAGE_TOO_SMALL"),
        (save(Image.new("RGB", (100, 1)), "PNG"), "IMAGE_TOO_SMALL"),
        (save(Image.new("RGB", (17_000, 400)), "PNG"), "IMAGE_SIDE_TOO_LONG"),
        (save(Image.new("RGB", (1600, 16)), "PNG"), "IMAGE_ASPECT_RATIO"),
    ],
)
def test_bad_pictures_have_their_own_reasons(read: Callable[..., object], data: bytes, reason: str) -> None:
    assert refusal(read, data).reason == reason


@pytest.mark.parametrize("read", [read_header, decode])
def test_limits_are_told_with_the_remedy(read: Callable[..., object]) -> None:
    data = save(Image.fromarray(noise()), "PNG")
    error = refusal(read, data, ImageLimits(max_bytes=100))
    assert error.reason == "IMAGE_TOO_LARGE"
    assert error.metadata == {"limit": "100"}
    assert "shrink it" in error.message
    error = refusal(read, data, ImageLimits(max_pixels=1000))
    assert error.reason == "IMAGE_TOO_MANY_PIXELS"
    assert "40 x 30" in error.message
    assert read_header(data, ImageLimits(max_bytes=len(data), max_pixels=1200, min_side=30, max_side=40)).width == 40


@pytest.mark.parametrize("read", [read_header, decode])
def test_a_decompression_bomb_is_refused_by_its_header(read: Callable[..., object]) -> None:
    ihdr = struct.pack(">IIBBBBB", 16_000, 16_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", ihdr) + _chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    assert refusal(read, bomb).reason == "IMAGE_TOO_MANY_PIXELS"
    beyond_pillow = ImageLimits(max_pixels=1 << 31)
    assert refusal(decode, bomb, beyond_pillow).reason == "IMAGE_TOO_MANY_PIXELS"


def test_a_png_text_bomb_is_refused() -> None:
    data = save(Image.fromarray(noise()), "PNG")
    text = _chunk(b"zTXt", b"key\0\0" + zlib.compress(b" " * (8 << 20)))
    assert refusal(decode, data[:33] + text + data[33:]).reason == "IMAGE_UNDECODABLE"


def test_a_frame_larger_than_its_header_says_is_refused() -> None:
    data = bytearray(save(Image.new("P", (300, 300)), "GIF"))
    struct.pack_into("<HH", data, 6, 20, 20)
    assert refusal(decode, bytes(data)).reason == "IMAGE_UNDECODABLE"


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_files_are_refused(format_: str, share: float) -> None:
    data = save(Image.fromarray(noise(100, 100)), format_)
    error = refusal(decode, data[: int(len(data) * share)])
    assert error.reason in ("IMAGE_TRUNCATED", "IMAGE_UNDECODABLE")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FORMATS), st.integers(0, 1 << 30), st.binary(min_size=1, max_size=8))
def test_damaged_files_decode_or_are_refused(format_: str, at: int, damage: bytes) -> None:
    data = bytearray(save(Image.fromarray(noise()), format_))
    at %= len(data)
    data[at : at + len(damage)] = damage
    try:
        pixels = decode(bytes(data))
    except InvalidArgumentError:
        return
    header = read_header(bytes(data))
    assert pixels.shape == (header.height, header.width, 3)


def test_pillow_is_left_as_it_was() -> None:
    before = Image.MAX_IMAGE_PIXELS
    decode(save(Image.fromarray(noise()), "PNG"), ImageLimits(max_pixels=1200))
    assert before == Image.MAX_IMAGE_PIXELS


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
