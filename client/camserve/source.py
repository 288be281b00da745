"""The forms in which callers hold images, and their encoding for the wire."""

import io
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from camserve.image import ImageLimits, decode
from camserve.rendering import encode_png

ImageSource = bytes | str | os.PathLike[str] | Image.Image | npt.NDArray[np.uint8]
"""An encoded image, the path of one, a Pillow image, or uint8 ``[height, width]``, ``[height, width, 3]`` RGB or
``[height, width, 4]`` RGBA."""

_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_RGB_MODES = frozenset({"CMYK", "HSV", "LAB", "RGBX", "YCbCr", "La", "PA", "RGBa"})

# What the server admitted is drawn on, whatever the server's limits are.
_NO_LIMITS = ImageLimits(
    max_bytes=1 << 31, max_pixels=1 << 31, min_side=1, max_side=1 << 16, max_aspect_ratio=float("inf")
)


def encode(image: ImageSource) -> bytes:
    """The bytes to send. Encoded images and files are sent as they are, pixels as PNG, without loss.

    Pixels are taken as they stand: an EXIF orientation that a Pillow image carries is not applied, so maps lie in the
    frame that the caller sees.

    Raises:
        OSError: the file cannot be read.
        TypeError: the image is of no such type, or its array not uint8.
        ValueError: the array's shape or the Pillow image's mode is no picture's.
    """
    match image:
        case bytes():
            return image
        case str() | os.PathLike():
            return Path(image).read_bytes()
        case Image.Image():
            return _encode_pillow(image)
        case np.ndarray():
            return _encode_array(image)
    raise TypeError(f"image: expected bytes, a path, a Pillow image or a uint8 array, got {type(image).__name__}")


def pixels(image: ImageSource) -> npt.NDArray[np.uint8]:
    """The pixels that the server sees: uint8 ``[height, width, 3]``, RGB.

    Raises:
        InvalidArgumentError: the image cannot be decoded.
        OSError, TypeError, ValueError: as `encode`.
    """
    return decode(encode(image), _NO_LIMITS)


def _encode_pillow(image: Image.Image) -> bytes:
    if image.mode in _RGB_MODES:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode not in _PNG_MODES:
        raise ValueError(f"image: a Pillow image of mode {image.mode} has no fixed range; convert it to L or RGB")
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def _encode_array(array: npt.NDArray[np.uint8]) -> bytes:
    if array.dtype != np.uint8:
        raise TypeError(f"image: expected a uint8 array with values 0 to 255, got {array.dtype}")
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ValueError(f"image: expected shape [H, W], [H, W, 3] or [H, W, 4], got {list(array.shape)}")
    return encode_png(array)
