"""Headers are read rightly, and in bounded time whatever a file holds."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from camserve.image_header import (
    MAX_SEGMENTS,
    ImageHeader,
    MalformedError,
    NotRecognisedError,
    TruncatedError,
    exif_orientation,
    parse_header,
)

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")


def encoded(format_: str, width: int = 40, height: int = 30, **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format_, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("format_", FORMATS)
def test_size_and_format_of_every_format(format_: str) -> None:
    assert parse_header(encoded(format_)) == ImageHeader(format_, 40, 30)


@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("JPEG", {"progressive": True}),
        ("JPEG", {"comment": b"x" * 60_000, "icc_profile": b"p" * 200_000}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0MM\0*"}),
        ("PNG", {"icc_profile": b"p" * 200_000}),
    ],
)
def test_variants_of_the_formats(format_: str, options: dict[str, Any]) -> None:
    assert parse_header(encoded(format_, **options)) == ImageHeader(format_, 40, 30)


def test_bmp_with_rows_from_the_top() -> None:
    data = bytearray(encoded("BMP"))
    struct.pack_into("<i", data, 22, -30)
    assert parse_header(bytes(data)) == ImageHeader("BMP", 40, 30)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_to_the_size(format_: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(format_, exif=exif)
    header = parse_header(data)
    assert header.orientation == orientation
    assert (header.width, header.height) == ImageOps.exif_transpose(Image.open(io.BytesIO(data))).size


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"II*\0",
        b"MM\0*\0\0\0\x08\xff\xff",  # entries are missing
        b"MM\0*\xff\xff\xff\xff",  # the directory is far outside
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0",  # an orientation of 9
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x01\0\x06\0\0",  # an orientation that is text
    ],
)
def test_broken_exif_means_upright(exif: bytes) -> None:
    assert exif_orientation(exif) == 1


@pytest.mark.parametrize(
    "data",
    [b"hello, I am a text file", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"II*\0" + b"\0" * 40],
    ids=["text", "svg", "pdf", "tiff"],
)
def test_other_files_are_not_recognised(data: bytes) -> None:
    with pytest.raises(NotRecognisedError):
        parse_header(data)


@pytest.mark.parametrize(("format_", "length"), [("JPEG", 14), ("PNG", 14), ("WEBP", 14), ("GIF", 9), ("BMP", 14)])
def test_a_header_that_is_cut_off(format_: str, length: int) -> None:
    with pytest.raises(TruncatedError, match=format_):
        parse_header(encoded(format_)[:length])


def test_a_size_of_zero_is_malformed() -> None:
    data = bytearray(encoded("GIF"))
    struct.pack_into("<H", data, 6, 0)
    with pytest.raises(MalformedError, match="0 x 30"):
        parse_header(bytes(data))


def test_a_jpeg_or_png_without_pixels_is_malformed() -> None:
    with pytest.raises(MalformedError, match="no frame header"):
        parse_header(b"\xff\xd8\xff\xd9" + b"\0" * 20)
    png = encoded("PNG")
    with pytest.raises(MalformedError, match="no pixels"):
        parse_header(png[:33] + chunk(b"IEND", b""))


def test_endless_segments_are_refused() -> None:
    jpeg, png, webp = encoded("JPEG"), encoded("PNG"), encoded("WEBP", exif=b"Exif\0\0MM\0*")
    with pytest.raises(MalformedError, match="segments"):
        parse_header(jpeg[:2] + b"\xff\xfe\0\x02" * MAX_SEGMENTS + jpeg[2:])
    with pytest.raises(MalformedError, match="segments"):
        parse_header(jpeg[:2] + b"\xff" * 2 * MAX_SEGMENTS + jpeg[2:])
    with pytest.raises(MalformedError, match="chunks"):
        parse_header(png[:33] + chunk(b"teSt", b"") * MAX_SEGMENTS + png[33:])
    with pytest.raises(MalformedError, match="chunks"):
        parse_header(webp[:30] + b"teSt\0\0\0\0" * MAX_SEGMENTS + webp[30:])


@given(st.sampled_from(FORMATS), st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(format_: str, tail: bytes) -> None:
    signature = encoded(format_)[:12]
    try:
        header = parse_header(signature + tail)
    except (NotRecognisedError, TruncatedError, MalformedError):
        return
    assert header.width > 0
    assert header.height > 0
