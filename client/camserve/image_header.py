"""What the first bytes of an encoded picture say: format, size and orientation.

Servers read headers of strangers' files on their event loop, so the work here is bounded whatever a file holds: nothing
is decompressed, and no more than ``MAX_SEGMENTS`` segments are visited. Pillow gives no such bound (a JPEG of 16 MiB of
empty segments keeps ``Image.open`` busy for seconds).
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

MAX_SEGMENTS = 4096
"""Segments, chunks or fill bytes that are visited before a file is refused."""


class NotRecognisedError(ValueError):
    """The bytes do not begin like a picture of a format that is known here."""


class TruncatedError(ValueError):
    """The bytes end inside the header."""


class MalformedError(ValueError):
    """The header contradicts its format."""


@dataclass(frozen=True)
class ImageHeader:
    """What a picture's header says.

    Attributes:
        format: ``JPEG``, ``PNG``, ``WEBP``, ``GIF`` or ``BMP``.
        width: columns, in pixels, after EXIF orientation.
        height: rows, in pixels, after EXIF orientation.
        orientation: EXIF orientation, 1 to 8, that is already applied to width and height.
    """

    format: str
    width: int
    height: int
    orientation: int = 1


def parse_header(data: bytes) -> ImageHeader:
    """Reads the header of an encoded picture in bounded time.

    Raises:
        NotRecognisedError: the bytes are of no format that is known here.
        TruncatedError: the bytes end inside the header.
        MalformedError: the header contradicts its format.
    """
    format_ = sniff(data)
    try:
        width, height, orientation = _PARSERS[format_](data)
    except (struct.error, IndexError):
        raise TruncatedError(f"the {format_} header is cut off") from None
    if width < 1 or height < 1:
        raise MalformedError(f"the {format_} header says {width} x {height} pixels")
    if orientation >= 5:
        width, height = height, width
    return ImageHeader(format_, width, height, orientation)


def sniff(data: bytes) -> str:
    """Names the format by the file's signature."""
    for signature, format_ in _SIGNATURES.items():
        if data.startswith(signature):
            return format_
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise NotRecognisedError("unknown signature")


def _jpeg(data: bytes) -> tuple[int, int, int]:
    orientation = 1
    at = 2
    for _ in range(MAX_SEGMENTS):
        if data[at] != 0xFF:  # junk between segments is skipped, as libjpeg does
            at = data.find(b"\xff", at)
            if at < 0:
                raise TruncatedError("the JPEG ends before its frame header")
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _JPEG_BARE_MARKERS:
            at += 2
        elif marker in _JPEG_FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height, orientation
        elif marker in _JPEG_END_MARKERS:
            raise MalformedError("the JPEG has no frame header before its data")
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            if marker == 0xE1 and orientation == 1 and data[at + 4 : at + 10] == b"Exif\0\0":
                orientation = exif_orientation(data[at + 10 : at + 2 + length])
            at += 2 + length
    raise MalformedError(f"the JPEG has more than {MAX_SEGMENTS} segments before its frame header")


def _png(data: bytes) -> tuple[int, int, int]:
    kind, width, height = struct.unpack_from(">4sII", data, 12)
    if kind != b"IHDR":
        raise MalformedError("the PNG does not begin with IHDR")
    orientation = 1
    at = 8
    for _ in range(MAX_SEGMENTS):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":  # an eXIf chunk behind the pixels is not looked for
            return width, height, orientation
        if kind == b"IEND":
            raise MalformedError("the PNG has no pixels")
        if kind == b"eXIf":
            orientation = exif_orientation(data[at + 8 : at + 8 + length])
        at += 12 + length
    raise MalformedError(f"the PNG has more than {MAX_SEGMENTS} chunks before its pixels")


def _webp(data: bytes) -> tuple[int, int, int]:
    (kind,) = struct.unpack_from("4s", data, 12)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF, 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 1
    if kind != b"VP8X":
        raise MalformedError("the WebP begins with no VP8, VP8L or VP8X chunk")
    flags, canvas = struct.unpack_from("<B3x6s", data, 20)
    width, height = (int.from_bytes(side, "little") + 1 for side in (canvas[:3], canvas[3:]))
    return width, height, _webp_orientation(data) if flags & 0x08 else 1


def _webp_orientation(data: bytes) -> int:
    at = 12
    for _ in range(MAX_SEGMENTS):
        if at + 8 > len(data):
            return 1
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            return exif_orientation(data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0"))
        at += 8 + length + length % 2
    raise MalformedError(f"the WebP has more than {MAX_SEGMENTS} chunks")


def _gif(data: bytes) -> tuple[int, int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height, 1


def _bmp(data: bytes) -> tuple[int, int, int]:
    (header_size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<ii", data, 18)
    return width, abs(height), 1  # a negative height means rows from the top


def exif_orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, that an EXIF block (a TIFF header and its directories) states; 1 if it is broken."""
    try:
        order = {b"II*\0": "<", b"MM\0*": ">"}[exif[:4]]
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, directory)
        for entry in range(min(entries, MAX_SEGMENTS)):
            tag, kind, value = struct.unpack_from(order + "HH4xH", exif, directory + 2 + 12 * entry)
            if tag == 0x0112:
                return value if kind == 3 and 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        pass
    return 1


_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
}
_PARSERS: dict[str, Callable[[bytes], tuple[int, int, int]]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "GIF": _gif,
    "BMP": _bmp,
}
_JPEG_BARE_MARKERS = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})  # escaped data, TEM, restarts and SOI: no length
_JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # all SOFs; not DHT, JPG and DAC
_JPEG_END_MARKERS = frozenset({0xD9, 0xDA})  # EOI and SOS
