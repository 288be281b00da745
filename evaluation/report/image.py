"""Pictures and colours as the page holds them: in its own text."""

import base64
import io
from typing import Final

from PIL import Image

from camserve.colormaps import COLORMAPS
from evaluation.report.section import Picture

_STOPS: Final = 17
"""Colours of a bar, between which a browser interpolates."""


def data_uri(content: bytes, media_type: str) -> str:
    """Content as an address that is the content."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def picture_uri(picture: Picture) -> str:
    """A picture as PNG or JPEG, whichever is smaller: flat masks stay exact, photographs light."""
    image = Image.fromarray(picture)
    encoded = []
    for form, options in (("png", {"optimize": True}), ("jpeg", {"quality": 90, "subsampling": 0})):
        stream = io.BytesIO()
        image.save(stream, form, **options)
        encoded.append((stream.getvalue(), f"image/{form}"))
    return data_uri(*min(encoded, key=lambda each: len(each[0])))


def gradient(colormap: str) -> str:
    """A colormap from its lowest value to its highest, as a gradient of CSS."""
    table = COLORMAPS[colormap]
    stops = [table[round(at * (len(table) - 1) / (_STOPS - 1))] for at in range(_STOPS)]
    return f"linear-gradient(to right, {', '.join('#' + stop.tobytes().hex() for stop in stops)})"
