"""Images that no server should fall for: a few hundred, each of which must be refused as the caller's fault."""

import base64
import io
import pickle
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

_SIDE = 64
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_OTHER_FORMATS = ("TIFF", "ICO", "PPM", "TGA", "PCX", "ICNS", "EPS", "PDF", "DDS")


def malformed_images() -> dict[str, bytes]:
    """Encoded images by a name that says what is wrong."""
    return {
        name: data
        for kind in (_cut_off, _of_another_kind, _of_bad_size, _pngs, _jpegs, _webps, _gifs, _bmps, _noisy)
        for name, data in kind()
    }


def sound_image(format_: str, width: int = _SIDE, height: int = _SIDE) -> bytes:
    """An image that is what it says, of pixels that do not compress to nothing."""
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return _saved(Image.fromarray(values), format_)


def _saved(image: Image.Image, format_: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()


def _cut_off() -> Iterator[tuple[str, bytes]]:
    for format_ in _FORMATS:
        data = sound_image(format_)
        for length in (1, 2, 3, 5, 8, 11, 13, 17, 20, 22):
            yield f"{format_} of {length} bytes", data[:length]
        for percent in (5, 10, 20, 30, 40, 50, 60, 70, 80, 90):
            yield f"{format_} cut off at {percent} %", data[: len(data) * percent // 100]


def _of_another_kind() -> Iterator[tuple[str, bytes]]:
    yield "nothing", b""
    yield "zeros", bytes(10_000)
    yield "ones", b"\xff" * 10_000
    yield "spaces", b" " * 10_000
    yield "text", b"This is not an image. " * 100
    yield "text of another alphabet", "Это не картинка. ".encode("utf-16") * 100
    yield "HTML", b"<!doctype html><html><body><img src='x' onerror='alert(1)'></body></html>"
    yield "SVG", b"<svg xmlns='http://www.w3.org/2000/svg' width='64' height='64'><rect width='64' height='64'/></svg>"
    yield "XML bomb", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><a>&c;</a>'
    yield "PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n(%pipe%id) (r) file\n"
    yield "pickle", pickle.dumps({"image": [1, 2, 3]})
    yield "zip", b"PK\x03\x04" + bytes(100)
    yield "gzip of a PNG", b"\x1f\x8b" + zlib.compress(sound_image("PNG"))
    yield "ELF", b"\x7fELF" + bytes(200)
    yield "base64 of a PNG", base64.b64encode(sound_image("PNG"))
    yield "data URI", b"data:image/png;base64," + base64.b64encode(sound_image("PNG"))
    yield "a URL", b"http://169.254.169.254/latest/meta-data/"
    yield "a path", b"/etc/passwd"
    yield "AVIF", b"\0\0\0\x1cftypavif" + bytes(200)
    yield "HEIC", b"\0\0\0\x18ftypheic" + bytes(200)
    yield "JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(200)
    yield "JPEG XL", b"\xff\x0a" + bytes(200)
    yield "RIFF of sound", b"RIFF\x24\0\0\0WAVEfmt " + bytes(200)
    yield "PNG after a newline", b"\n" + sound_image("PNG")
    yield "PNG with line ends of another system", sound_image("PNG").replace(b"\r\n", b"\n", 1)
    for format_ in _OTHER_FORMATS:
        yield format_, _saved(Image.new("RGB", (_SIDE, _SIDE), "red"), format_)


def _of_bad_size() -> Iterator[tuple[str, bytes]]:
    for width, height in ((1, 1), (1, 64), (64, 1), (15, 15), (1000, 16), (16, 1000), (15, 4000)):
        for format_ in _FORMATS:
            yield f"{format_} of {width} x {height}", sound_image(format_, width, height)
    largest = 2**31 - 1
    for width, height in (
        (0, 64),
        (64, 0),
        (0, 0),
        (20_000, 20_000),
        (largest, largest),
        (2**32 - 1, 64),
        (65_536, 64),
    ):
        yield f"PNG that says {width} x {height}", _png(width, height)
    for width, height in ((0, 64), (64, 0), (65_535, 65_535), (20_000, 3000)):
        yield f"GIF that says {width} x {height}", _gif(width, height)
        yield f"JPEG that says {width} x {height}", _jpeg_of_size(width, height)
    for width, height in ((0, 64), (64, 0), (-64, 64), (largest, largest), (60_000, 1500), (64, -(2**31))):
        yield f"BMP that says {width} x {height}", _bmp(width, height)


def _chunk(kind: bytes, data: bytes, crc: int | None = None) -> bytes:
    return (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) if crc is None else crc)
    )


def _png(
    width: int = _SIDE,
    height: int = _SIDE,
    *,
    depth: int = 8,
    color: int = 2,
    interlace: int = 0,
    before: bytes = b"",
    pixels: bytes | None = None,
) -> bytes:
    if pixels is None:
        pixels = zlib.compress((b"\0" + bytes(_SIDE * 3)) * _SIDE)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + _chunk(b"IHDR", header) + before + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _pngs() -> Iterator[tuple[str, bytes]]:
    good = sound_image("PNG")
    for depth, color in ((0, 2), (3, 2), (64, 2), (1, 6), (8, 1), (8, 5), (8, 7), (16, 3)):
        yield f"PNG of depth {depth} and colour type {color}", _png(depth=depth, color=color)
    yield "PNG without its header", good[:8] + good[33:]
    yield "PNG without pixels", good[:33] + _chunk(b"IEND", b"")
    yield "PNG that ends before it begins", good[:33] + _chunk(b"IEND", b"") + good[33:]
    yield "PNG whose header has a wrong sum", good[:29] + b"\0\0\0\0" + good[33:]
    yield "PNG whose header is too short", good[:8] + _chunk(b"IHDR", b"\0\0\0\x40\0\0") + good[33:]
    yield "PNG with no pixels in its pixels", _png(pixels=b"")
    yield "PNG with an unknown filter", _png(pixels=zlib.compress((b"\x09" + bytes(_SIDE * 3)) * _SIDE))
    yield "PNG whose pixels are not compressed", _png(pixels=bytes(5000))
    yield "PNG whose pixels are text", _png(pixels=b"pixels " * 1000)
    yield "PNG with a chunk of 2 GiB", good[:33] + struct.pack(">I4s", 2**31 - 1, b"tEXt") + good[33:]
    bomb = zlib.compress(bytes(64 * 2**20), 9)
    yield "PNG with a bomb of text", _png(before=_chunk(b"zTXt", b"a\0\0" + bomb))
    yield "PNG with a bomb of a profile", _png(before=_chunk(b"iCCP", b"a\0\0" + bomb))
    yield "PNG with a bomb of translated text", _png(before=_chunk(b"iTXt", b"a\0\1\0\0\0" + bomb))
    yield "PNG of 5000 chunks", _png(before=_chunk(b"teSt", b"") * 5000)
    yield "PNG with a bad sum of pixels", _png(pixels=zlib.compress(bytes((_SIDE * 3 + 1) * _SIDE))[:-4] + b"\1\2\3\4")
    for at in (60, 100, 200, 400):
        yield f"PNG with zeros from {at}", good[:at] + bytes(len(good) - at)


def _jpeg_segments() -> tuple[bytes, bytes, bytes]:
    """A JPEG before, at and after its frame header."""
    data = sound_image("JPEG")
    start = data.index(b"\xff\xc0")
    (length,) = struct.unpack_from(">H", data, start + 2)
    return data[:start], data[start : start + 2 + length], data[start + 2 + length :]


def _jpeg_of_size(width: int, height: int) -> bytes:
    before, frame, after = _jpeg_segments()
    return before + frame[:5] + struct.pack(">HH", height, width) + frame[9:] + after


def _jpegs() -> Iterator[tuple[str, bytes]]:
    before, frame, after = _jpeg_segments()
    good = before + frame + after
    scan = good.index(b"\xff\xda")
    yield "JPEG without a frame", before + after
    yield "JPEG without a scan", good[:scan] + b"\xff\xd9"
    yield "JPEG that is its markers", b"\xff\xd8\xff\xd9"
    yield "JPEG of restarts", b"\xff\xd8" + b"\xff\xd0" * 5000 + b"\xff\xd9"
    yield "JPEG of fill bytes", b"\xff\xd8" + b"\xff" * 100_000
    yield "JPEG of 5000 segments", b"\xff\xd8" + b"\xff\xe0\0\2" * 5000 + good[2:]
    yield "JPEG without quantisation tables", good.replace(b"\xff\xdb", b"\xff\xef")
    for precision in (0, 2, 16, 255):
        yield f"JPEG of {precision} bits", before + frame[:4] + bytes([precision]) + frame[5:] + after
    for count in (0, 2, 5, 255):
        yield f"JPEG of {count} components", before + frame[:9] + bytes([count]) + frame[10:] + after
    for sampling in (0x00, 0x05, 0x55, 0xFF):
        yield f"JPEG of sampling {sampling:02x}", before + frame[:11] + bytes([sampling]) + frame[12:] + after
    for marker in (0xC3, 0xC5, 0xC7, 0xCB, 0xCF):
        yield f"JPEG of frame {marker:02x}", before + bytes([0xFF, marker]) + frame[2:] + after
    yield "JPEG of many scans", many_scans(2000)
    yield "JPEG with a segment beyond its end", good[:2] + b"\xff\xe1\xff\xff" + good[2:500]
    yield "JPEG that goes on as a PNG", good[: scan + 4] + sound_image("PNG")


def many_scans(scans: int, side: int = 256) -> bytes:
    """A small file that takes long to decode: each pass over its pixels is 50 bytes."""
    data = _saved(Image.new("RGB", (side, side)), "JPEG", progressive=True)
    last = data[data.rfind(b"\xff\xc4", 0, data.rfind(b"\xff\xda")) : -2]
    return data[:-2] + last * scans + b"\xff\xd9"


def _riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _webps() -> Iterator[tuple[str, bytes]]:
    good = sound_image("WEBP")
    frame = good[20:]
    yield "WebP of an unknown chunk", _riff((b"ABCD", bytes(200)))
    yield "WebP of nothing", _riff()
    yield "WebP whose frame is zeros", _riff((b"VP8 ", bytes(200)))
    yield "WebP whose lossless frame is zeros", _riff((b"VP8L", b"\x2f" + bytes(3) + bytes(200)))
    canvas = b"\0\0\0\0" + (999).to_bytes(3, "little") * 2
    yield "WebP whose frame is not its canvas", _riff((b"VP8X", canvas), (b"VP8 ", frame))
    yield "WebP of a canvas alone", _riff((b"VP8X", b"\0\0\0\0" + (63).to_bytes(3, "little") * 2))
    yield "WebP of a canvas that is too large", _riff((b"VP8X", b"\0\0\0\0" + b"\xff" * 6), (b"VP8 ", frame))
    animated = b"\x02\0\0\0" + (63).to_bytes(3, "little") * 2
    yield "WebP of an animation without frames", _riff((b"VP8X", animated), (b"ANIM", bytes(6)))
    yield "WebP with a wrong start code", good[:23] + b"\0\0\0" + good[26:]
    yield "WebP without a signature of its frame", _riff((b"VP8L", frame))


def _gif(width: int = _SIDE, height: int = _SIDE, *, bits: int = 8, blocks: bytes = b"", frame: bytes = b"") -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF7, 0, 0) + bytes(768)
    image = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + bytes([bits]) + (frame or b"\x02\x00\x01\x00")
    return head + blocks + image + b";"


def _gifs() -> Iterator[tuple[str, bytes]]:
    good = sound_image("GIF")
    head = 13 + 768
    yield "GIF without an image", good[:head] + b";"
    yield "GIF of extensions alone", good[:head] + b"!\xfe\x02ab\0" * 1000
    for bits in (0, 13, 255):
        yield f"GIF of codes of {bits} bits", _gif(bits=bits)
    yield "GIF of too few pixels", _gif()
    yield "GIF whose codes are noise", _gif(frame=b"\xff" + b"\xfe" * 255 + b"\0")
    yield "GIF whose block does not end", good[:head] + b"!\xfe\xff" + b"a" * 50
    larger = b"," + struct.pack("<HHHHB", 0, 0, 9999, 9999, 0) + b"\x08\x02\x00\x01\x00;"
    yield "GIF whose frame is larger than its screen", good[:head] + larger


def _bmp(
    width: int = _SIDE,
    height: int = _SIDE,
    *,
    bits: int = 24,
    compression: int = 0,
    header: int = 40,
    offset: int = 54,
    pixels: bytes = bytes(_SIDE * _SIDE * 3),
) -> bytes:
    info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(pixels), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, offset) + info + pixels


def _bmps() -> Iterator[tuple[str, bytes]]:
    for bits in (0, 3, 7, 64, 65_535):
        yield f"BMP of {bits} bits", _bmp(bits=bits)
    for compression in (1, 2, 4, 5, 6, 99):
        yield f"BMP of compression {compression}", _bmp(compression=compression)
    for header in (0, 1, 13, 39, 1000):
        yield f"BMP with a header of {header} bytes", _bmp(header=header)
    yield "BMP whose pixels lie beyond its end", _bmp(offset=10**9)
    yield "BMP of no pixels", _bmp(pixels=b"")
    yield "BMP of half its pixels", _bmp(pixels=bytes(_SIDE * _SIDE))
    table = bytes(1024)
    runs = table + b"\x01\x05" * 100
    yield "BMP whose runs stop short", _bmp(bits=8, compression=1, offset=54 + 1024, pixels=runs)


def _noisy() -> Iterator[tuple[str, bytes]]:
    """Noise, by itself and behind a sound beginning."""
    data = sound_image("PNG")
    for seed in range(10):
        noise = np.random.default_rng(seed).bytes(len(data))
        yield f"noise {seed}", noise
        yield f"PNG of noise {seed}", data[:41] + noise
