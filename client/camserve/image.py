"""Reading of pictures that strangers send: one function for the header, one for the pixels.

Gateway and workers read with the same code, so what the gateway admits by its header has that size when it is decoded.
Nothing here depends on Pillow's global settings or changes them.
"""

import io
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from camserve.errors import InvalidArgumentError
from camserve.image_header import ImageHeader, MalformedError, NotRecognisedError, TruncatedError, parse_header

__all__ = ["ImageHeader", "ImageLimits", "decode", "decode_image", "read_header"]

_FORMATS = "JPEG, PNG, WebP, GIF or BMP"

_START_OF_SCAN = b"\xff\xda"

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class ImageLimits:
    """Bounds on a picture, checked before its pixels are decoded.

    Attributes:
        max_bytes: largest encoded picture, in bytes.
        max_pixels: most pixels. Pillow refuses pictures above 178 million pixels whatever is set here.
        min_side: shortest side allowed, in pixels.
        max_side: longest side allowed, in pixels.
        max_aspect_ratio: largest ratio of the longer side to the shorter.
        max_scans: passes of a JPEG over its pixels; usual ones have 10 at most. Each takes as long as an image, and 50
            bytes of the file.
        max_decode_seconds: seconds of a processor that decoding may take, about: it is looked at when the decoder
            reads on, and between two looks the other bounds hold.
    """

    max_bytes: int = 16 * 1024 * 1024
    max_pixels: int = 50_000_000
    min_side: int = 16
    max_side: int = 16_384
    max_aspect_ratio: float = 50.0
    max_scans: int = 100
    max_decode_seconds: float = 10.0


_DEFAULT_LIMITS = ImageLimits()


def read_header(data: bytes, limits: ImageLimits = _DEFAULT_LIMITS, field: str = "image") -> ImageHeader:
    """Reads format and size of an encoded picture and checks them, without decoding pixels and in bounded time.

    Args:
        data: an encoded picture: JPEG, PNG, WebP, GIF or BMP, recognised by content.
        limits: bounds that it must keep.
        field: name of the request's field that it came in, for the error.

    Raises:
        InvalidArgumentError: the bytes are no such picture or break a bound. Its reason is one of IMAGE_EMPTY,
            IMAGE_TOO_LARGE, IMAGE_NOT_RECOGNISED, IMAGE_TRUNCATED, IMAGE_UNDECODABLE, IMAGE_TOO_SMALL,
            IMAGE_SIDE_TOO_LONG, IMAGE_TOO_MANY_PIXELS, IMAGE_ASPECT_RATIO and IMAGE_TOO_COMPLEX.
    """
    if not data:
        raise _error(field, "IMAGE_EMPTY", f"is empty: send the bytes of a {_FORMATS} file")
    if len(data) > limits.max_bytes:
        text = f"is {len(data)} bytes, above the limit of {limits.max_bytes}: shrink it or compress it more"
        raise _error(field, "IMAGE_TOO_LARGE", text, limit=limits.max_bytes)
    try:
        header = parse_header(data)
    except NotRecognisedError:
        text = f"is not a {_FORMATS} file, judged by its content: convert it to one of these"
        raise _error(field, "IMAGE_NOT_RECOGNISED", text) from None
    except TruncatedError as error:
        raise _error(field, "IMAGE_TRUNCATED", f"is cut off ({error}): send the whole file") from None
    except MalformedError as error:
        raise _error(field, "IMAGE_UNDECODABLE", f"is damaged ({error}): save it anew") from None
    _check_size(header, limits, field)
    if header.format == "JPEG" and data.count(_START_OF_SCAN) > limits.max_scans:
        text = f"has more than {limits.max_scans} scans: save it anew"
        raise _error(field, "IMAGE_TOO_COMPLEX", text, limit=limits.max_scans)
    return header


def decode(data: bytes, limits: ImageLimits = _DEFAULT_LIMITS, field: str = "image") -> npt.NDArray[np.uint8]:
    """Decodes a picture to RGB, as `decode_image`.

    Returns:
        uint8 ``[height, width, 3]``, of the size that `read_header` gives; owned by the caller and writable.
    """
    return np.array(decode_image(data, limits, field))


def decode_image(
    data: bytes, limits: ImageLimits = _DEFAULT_LIMITS, field: str = "image", *, least: tuple[int, int] | None = None
) -> Image.Image:
    """Decodes a picture to RGB.

    EXIF orientation is applied, the first frame of an animation taken, transparency composited on white, 16-bit gray
    scaled to 8 bits, CMYK converted; colour profiles are ignored.

    Args:
        data: an encoded picture: JPEG, PNG, WebP, GIF or BMP, recognised by content.
        limits: bounds that it must keep.
        field: name of the request's field that it came in, for the error.
        least: width and height of which no less is needed. A JPEG may then come at a half, a quarter or an eighth of
            its sides, averaged by its decoder at a fraction of the time; others come whole.

    Returns:
        An image of mode RGB, of the size that `read_header` gives, or smaller if there is a least size.

    Raises:
        InvalidArgumentError: as `read_header`, and with reason IMAGE_TRUNCATED or IMAGE_UNDECODABLE where the pixels
            are incomplete or damaged, or IMAGE_TOO_COMPLEX where decoding them takes too long.
    """
    header = read_header(data, limits, field)
    try:
        with Image.open(_Timed(data, limits.max_decode_seconds), formats=[header.format]) as image:
            size = image.size[::-1] if header.orientation >= 5 else image.size
            if size != (header.width, header.height):
                raise MalformedError(f"its header says {header.width} x {header.height} pixels, its frame {size}")
            if least is not None and header.format == "JPEG":
                image.draft(image.mode, least[::-1] if header.orientation >= 5 else least)
            rgb = _to_rgb(image)
    except _TooSlowError:
        text = f"takes more than {limits.max_decode_seconds:g} s to decode: save it anew, or shrink it"
        raise _error(field, "IMAGE_TOO_COMPLEX", text, limit=limits.max_decode_seconds) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _error(field, "IMAGE_TOO_MANY_PIXELS", "is larger than any decoder here accepts: shrink it") from None
    except Exception as error:  # Pillow's parsers let through whatever they stumbled over, MemoryError included
        if "truncated" in str(error).lower():
            raise _error(field, "IMAGE_TRUNCATED", "is cut off: send the whole file") from error
        raise _error(field, "IMAGE_UNDECODABLE", "is damaged and cannot be decoded: save it anew") from error
    return rgb.transpose(_TRANSPOSITIONS[header.orientation]) if header.orientation in _TRANSPOSITIONS else rgb


class _TooSlowError(Exception):
    """Decoding takes too long."""


class _Timed(io.BytesIO):
    """A file that cannot be read for ever: Pillow's own loops read on and on in files that are made for it."""

    def __init__(self, data: bytes, seconds: float) -> None:
        super().__init__(data)
        self._end = time.thread_time() + seconds

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() > self._end:
            raise _TooSlowError
        return super().read(size)


def _check_size(header: ImageHeader, limits: ImageLimits, field: str) -> None:
    width, height = header.width, header.height
    size = f"is {width} x {height} pixels"
    shorter, longer = sorted((width, height))
    if shorter < limits.min_side:
        text = f"{size}; both sides must be at least {limits.min_side}: send a larger image"
        raise _error(field, "IMAGE_TOO_SMALL", text, limit=limits.min_side)
    if longer > limits.max_side:
        text = f"{size}; no side may be above {limits.max_side}: shrink it"
        raise _error(field, "IMAGE_SIDE_TOO_LONG", text, limit=limits.max_side)
    if width * height > limits.max_pixels:
        text = f"{size}, {width * height} in all, above the limit of {limits.max_pixels}: shrink it"
        raise _error(field, "IMAGE_TOO_MANY_PIXELS", text, limit=limits.max_pixels)
    if longer > limits.max_aspect_ratio * shorter:
        text = f"{size}; the longer side may be at most {limits.max_aspect_ratio:g} times the shorter: crop it"
        raise _error(field, "IMAGE_ASPECT_RATIO", text, limit=limits.max_aspect_ratio)


def _to_rgb(image: Image.Image) -> Image.Image:
    image.load()
    if image.mode.startswith("I"):
        image = _gray_from_16_bit(image)
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _gray_from_16_bit(image: Image.Image) -> Image.Image:
    """Scales 16-bit gray to 8 bits, which Pillow's own conversion clips; a transparent gray becomes white."""
    values = np.asarray(image).astype(np.uint32)
    gray = ((values + 128) // 257).astype(np.uint8)
    if (transparent := image.info.get("transparency")) is not None:
        gray[values == transparent] = 255
    return Image.fromarray(gray)


def _error(field: str, reason: str, text: str, limit: float | None = None) -> InvalidArgumentError:
    metadata = {} if limit is None else {"limit": f"{limit:g}" if isinstance(limit, float) else str(limit)}
    return InvalidArgumentError(f"{field} {text}", reason, field=field, metadata=metadata)
