"""The page: whole, closed to the network and to markup in names, readable in both colour schemes."""

import base64
import csv
import io
import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation.report import page as page_module
from evaluation.report.image import picture_uri
from evaluation.report.page import page
from evaluation.report.report import Report
from evaluation.report.style import COLOURS
from tests.evaluation.report.conftest import HOSTILE

CSS = (Path(page_module.__file__).with_name("templates") / "page.css").read_text()
VOID = {"meta", "img"}


class _Page(HTMLParser):
    """Elements in their order, with the text in each, and a check that all are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[int] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for place in self._open:
            self.elements[place][2].append(data)

    def texts(self, tag: str, **attributes: str) -> list[str]:
        return [
            " ".join("".join(text).split())
            for name, attrs, text in self.elements
            if name == tag and attributes.items() <= attrs.items()
        ]

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for _, attrs, _ in self.elements if attribute in attrs]


@pytest.fixture
def read(report: Report) -> _Page:
    return _Page(page(report))


def test_nothing_is_fetched(report: Report, read: _Page) -> None:
    text = page(report)
    assert "//" not in re.sub(r"data:[^\"]*|^ *//.*$", "", text, flags=re.MULTILINE)
    assert not re.search(r"@import|url\(|fetch\(|<link|<iframe", text)
    for address in (*read.values("src"), *read.values("href")):
        assert address.startswith(("data:", "#"))
    policy = next(attrs["content"] for _, attrs, _ in read.elements if "http-equiv" in attrs)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_links_lead_somewhere(read: _Page) -> None:
    targets = {address[1:] for address in read.values("href") if address.startswith("#")}
    assert targets <= set(read.values("id"))
    assert {"first-one", "second", "summary", "about"} <= targets


def test_names_are_text(report: Report, read: _Page) -> None:
    assert HOSTILE not in page(report)
    assert len(read.texts("script")) == 1
    assert read.texts("title") == [f"Title {HOSTILE}", *read.texts("title")[1:]]
    for tag in ("h1", "h2", "h3", "p", "dt", "dd", "th", "li", "figcaption", "title"):
        assert any(HOSTILE in text for text in read.texts(tag)), tag
    assert any(f"{HOSTILE}: {HOSTILE}" == alt for alt in read.values("alt"))


def test_every_cell_is_there(read: _Page) -> None:
    cells = [text for text in read.texts("td") if text]
    missing, minus = "\N{EN DASH}", "\N{MINUS SIGN}"
    expected = [
        *("best: 0.3 ± 0.2", "0.00 ± 10.00", "12"),
        *("best: 0.3", missing, "n/a"),
        *("7.0 ± 12.3", "best: 0.50 ± 0.12", "1234"),
        *("0.0 ± 0.0", "0.00", "0"),
        *(f"{minus}1.0", "1.00", missing),
    ]
    assert cells[-len(expected) :] == expected
    assert read.texts("th", scope="col") == ["way", "AD % ↓", "AG | gain ↑", "ms"]
    rows = read.texts("th", scope="row")
    assert rows[-5:] == ["grad-cam", HOSTILE, "hires-cam", "fake-cam", "true masks"]


def test_the_summary_names_the_best(read: _Page) -> None:
    assert read.texts("article")[0] == (
        f"First {HOSTILE} What {HOSTILE}. Best values AD % ↓ grad-cam and 1 more 0.3 AG | gain ↑ hires-cam 0.50"
    )
    assert read.texts("article")[1] == "Second Nothing but text."


def test_the_foot_says_what_when_and_how(read: _Page) -> None:
    [foot] = read.texts("footer")
    assert "2026-03-04 05:06 UTC" in foot
    assert "camserve 1.2.3" in foot
    assert HOSTILE in foot


def test_pictures_are_those_that_were_given(report: Report, read: _Page) -> None:
    [pictures] = report.sections[0].galleries[0].rows.values()
    sources = read.values("src")
    assert len(sources) == len(pictures)
    for source, picture in zip(sources, pictures, strict=True):
        content = base64.b64decode(source.partition(",")[2])
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), picture)


def test_photographs_are_light_and_masks_exact() -> None:
    waves = 127 + 120 * np.sin(np.arange(96)[:, None, None] / 9 + np.arange(96)[:, None] / 7 + np.arange(3))
    photograph = (waves + np.random.default_rng(0).normal(0, 2, waves.shape)).clip(0, 255).astype(np.uint8)
    mask = np.zeros((96, 96, 3), np.uint8)
    mask[20:60, 30:70] = 255
    for picture, form, off in ((photograph, "JPEG", 4), (mask, "PNG", 0)):
        content = base64.b64decode(picture_uri(picture).partition(",")[2])
        found = Image.open(io.BytesIO(content))
        assert found.format == form
        assert np.abs(np.asarray(found, np.int16) - picture).mean() <= off


def test_csv_can_be_taken_from_the_page(report: Report, read: _Page) -> None:
    files = {
        attrs["download"]: base64.b64decode((attrs["href"] or "").partition(",")[2]).decode()
        for _, attrs, _ in read.elements
        if "download" in attrs
    }
    assert set(files) == {"first-one-main.csv", "first-one-by-depth.csv"}
    rows = list(csv.reader(io.StringIO(files["first-one-main.csv"])))
    assert [row[0] for row in rows[1:]] == list(report.sections[0].tables[0].rows)


def test_the_same_report_gives_the_same_page(report: Report) -> None:
    assert page(report) == page(report)


def _colours(scheme: int) -> dict[str, str]:
    pairs = re.findall(r"(--[\w-]+): light-dark\((#\w{6}), (#\w{6})\)", CSS)
    return {name: colours[scheme] for name, *colours in pairs}


def _luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(first: str, second: str) -> float:
    low, high = sorted(map(_luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast(scheme: int) -> None:
    colours = _colours(scheme)
    for ground in ("--paper", "--raised", "--best"):
        assert _contrast(colours["--ink"], colours[ground]) >= 7, ground
        assert _contrast(colours["--quiet"], colours[ground]) >= 4.5, ground
    assert _contrast(colours["--accent"], colours["--paper"]) >= 4.5
    for name in (*(f"--series-{n}" for n in range(COLOURS)), "--series-apart"):
        assert _contrast(colours[name], colours["--paper"]) >= 3, name


# Linear RGB as people without one kind of cone see it: Machado, Oliveira and Fernandes, "A Physiologically-based Model
# for Simulation of Color Vision Deficiency" (2009), severity 1.
_SIGHT = {
    "all": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def _lab(colour: str, sight: str) -> np.ndarray:
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(_SIGHT[sight]) @ linear, 0, 1)
    white = _XYZ.sum(1)
    x, y, z = (math.cbrt(t) if t > 0.008856 else 7.787 * t + 16 / 116 for t in _XYZ @ seen / white)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", _SIGHT)
@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_lines_can_be_told_apart_by_everybody(scheme: int, sight: str) -> None:
    colours = _colours(scheme)
    places = [_lab(colours[f"--series-{n}"], sight) for n in range(COLOURS)]
    distances = [float(np.linalg.norm(a - b)) for n, a in enumerate(places) for b in places[:n]]
    assert min(distances) > 10  # CIE 1976; 2.3 is just noticeable


def test_headings_do_not_skip_a_level(read: _Page) -> None:
    levels = [int(tag[1]) for tag, _, _ in read.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
