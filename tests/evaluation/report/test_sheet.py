"""A gallery as one picture: every picture is on it, at its place."""

import io

import numpy as np
from PIL import Image

from evaluation.report.section import Gallery
from evaluation.report.sheet import sheet


def _plain(*colour: int) -> np.ndarray:
    return np.full((10, 10, 3), colour, np.uint8)


def test_pictures_stand_in_rows_and_columns() -> None:
    red, green, blue, grey = _plain(255, 0, 0), _plain(0, 255, 0), _plain(0, 0, 255), _plain(90, 90, 90)
    gallery = Gallery(
        "Maps.", ["picture", "a-method:with=options,and=more,than=fit"], {"1": [red, green], "2": [blue, grey]}
    )
    drawn = np.asarray(Image.open(io.BytesIO(sheet(gallery))))
    places = {}
    for name, colour in (("red", red), ("green", green), ("blue", blue), ("grey", grey)):
        rows, columns = np.nonzero((drawn == colour[0, 0]).all(2))
        assert len(rows) >= 128 * 128
        places[name] = int(np.median(rows)), int(np.median(columns))
    assert places["red"][0] == places["green"][0] < places["blue"][0] == places["grey"][0]
    assert places["red"][1] == places["blue"][1] < places["green"][1] == places["grey"][1]
