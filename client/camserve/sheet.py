"""Contact sheets: pictures in rows, each with a few words under it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from PIL import Image, ImageDraw, ImageFont

_WIDTH, _TALLEST = 224, 300  # of a picture, in pixels
_COLUMNS = 6
_MARGIN, _GAP = 28, 16
_TITLE, _TEXT, _NOTE = 22, 17, 13  # sizes of type, in pixels
_LEADING = 1.35  # height of a line, in sizes of its type
_PAPER, _INK, _PALE = "#ffffff", "#1c1f24", "#7b8089"

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet.

    Attributes:
        picture: at its size on the sheet.
        text: what stands under it.
        note: what stands under that, small and pale.
    """

    picture: Image.Image
    text: str
    note: str = ""


def thumbnail(picture: Image.Image) -> Image.Image:
    """A picture at its size on a sheet, which it fits in width or, if it is tall, in height."""
    scale = min(_WIDTH / picture.width, _TALLEST / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def contact_sheet(title: str, tiles: Sequence[Tile]) -> Image.Image:
    """Draws pictures of one size in as few rows as hold them, six in each at most, the rows as even as can be.

    Args:
        title: what stands above them.
        tiles: the pictures as :func:`thumbnail` makes them, at least one.
    """
    height = tiles[0].picture.height
    rows = ceil(len(tiles) / _COLUMNS)
    columns = ceil(len(tiles) / rows)
    inner = columns * (_WIDTH + _GAP) - _GAP
    lines = _wrapped(title, _font(_TITLE), inner)
    top = _MARGIN + _line(_TITLE) * len(lines) + _GAP
    step = height + _GAP // 2 + _line(_TEXT) + _line(_NOTE) + _GAP
    sheet = Image.new("RGB", (inner + 2 * _MARGIN, top + rows * step - _GAP + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, line in enumerate(lines):
        draw.text((_MARGIN, _MARGIN + place * _line(_TITLE)), line, _INK, _font(_TITLE))
    for place, tile in enumerate(tiles):
        middle, y = _MARGIN + place % columns * (_WIDTH + _GAP) + _WIDTH // 2, top + place // columns * step
        under = y + height + _GAP // 2
        sheet.paste(tile.picture, (middle - tile.picture.width // 2, y))
        draw.text((middle, under), _cut(tile.text, _font(_TEXT), _WIDTH), _INK, _font(_TEXT), anchor="ma")
        draw.text((middle, under + _line(_TEXT)), tile.note, _PALE, _font(_NOTE), anchor="ma")
    return sheet


def _font(size: int) -> _Font:
    return ImageFont.load_default(size)


def _line(size: int) -> int:
    return round(size * _LEADING)


def _wrapped(text: str, font: _Font, width: int) -> list[str]:
    """The text in lines that fit, broken between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [_cut(line, font, width) for line in lines if line]


def _cut(text: str, font: _Font, width: int) -> str:
    """The text, or as much of its beginning as fits."""
    kept = text
    while kept and font.getlength(kept if kept == text else f"{kept}…") > width:
        kept = kept[:-1]
    return kept if kept == text else f"{kept}…"
