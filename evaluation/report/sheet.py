"""A gallery as one picture, for a README or a slide."""

import io
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from evaluation.report.section import Gallery

_SIDE: Final = 128  # of a picture, in pixels
_GAP, _MARGIN = 8, 20
_TYPE: Final = 13
_LINE: Final = 18
_LINES: Final = 2  # of a title
_PAPER, _INK = "#ffffff", "#1c1f24"


def sheet(gallery: Gallery) -> bytes:
    """The gallery as PNG: a row of pictures each, its name above it, the titles of the columns on top."""
    step = _SIDE + _GAP
    head, tall = _MARGIN + _LINES * _LINE, _LINE + step
    size = (2 * _MARGIN + len(gallery.titles) * step - _GAP, head + len(gallery.rows) * tall + _MARGIN)
    paper = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(paper), ImageFont.load_default(_TYPE)
    for column, title in enumerate(gallery.titles):
        for line, part in enumerate(_broken(title, font)):
            draw.text((_MARGIN + column * step, _MARGIN // 2 + line * _LINE), part, _INK, font)
    for row, (name, pictures) in enumerate(gallery.rows.items()):
        top = head + row * tall
        draw.text((_MARGIN, top), name, _INK, font)
        for column, picture in enumerate(pictures):
            shown = Image.fromarray(picture).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
            paper.paste(shown, (_MARGIN + column * step, top + _LINE))
    stream = io.BytesIO()
    paper.save(stream, "png", optimize=True)
    return stream.getvalue()


def _broken(title: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    """A title in lines as wide as a picture, as many as there is place for."""
    lines = [""]
    for letter in title:
        if font.getlength(lines[-1] + letter) > _SIDE:
            lines.append("")
        lines[-1] += letter
    return lines[:_LINES]
