"""What a section may not be, and what is said of it."""

import math

import numpy as np
import pytest

from evaluation.report.report import Report
from evaluation.report.section import Column, Figure, Gallery, Plot, Section, Table


def test_a_figure_over_runs() -> None:
    figure = Figure.over([1.0, 2.0, 6.0])
    assert figure.mean == pytest.approx(3.0)
    assert figure.spread == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
    assert Figure.over([5.0]) == Figure(5.0, None)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1.25, 1, "1.2"),
        (-0.04, 1, "0.0"),
        (-2.5, 2, "\N{MINUS SIGN}2.50"),
        (1e6, 0, "1000000"),
        (math.nan, 1, "n/a"),
        (math.inf, 1, "n/a"),
    ],
)
def test_a_value_as_it_is_read(value: float, digits: int, text: str) -> None:
    assert Column("x", digits=digits).shown(value) == text


def test_rows_have_a_figure_per_column() -> None:
    with pytest.raises(ValueError, match="table main: row 'grad-cam' has 1 figures for 2 columns"):
        Table("main", "", [Column("a"), Column("b")], {"grad-cam": [Figure(1.0)]})


def test_rows_apart_are_rows() -> None:
    with pytest.raises(ValueError, match="table main: apart names 'bound', which is not a row"):
        Table("main", "", [], {}, apart=["bound"])


@pytest.mark.parametrize("name", ["", "Main", "a b", "../a", "a--b", "-a", "a.csv"])
def test_names_are_fit_for_files(name: str) -> None:
    with pytest.raises(ValueError, match=r"table: the name .* is not kebab-case"):
        Table(name, "", [], {})
    with pytest.raises(ValueError, match="plot: the name"):
        Plot(name, "", "", "", {})
    with pytest.raises(ValueError, match="section: the name"):
        Section(name, "", "", {})


def test_names_are_there_once() -> None:
    with pytest.raises(ValueError, match="section walls: tables and plots: the name 'a' is there twice"):
        Section("walls", "", "", {}, [Table("a", "", [], {})], [Plot("a", "", "", "", {})])
    with pytest.raises(ValueError, match="report: sections: the name 'walls' is there twice"):
        Report([Section("walls", "", "", {})] * 2)
    with pytest.raises(ValueError, match="no sections"):
        Report([])


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_pictures_are_pictures(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="gallery: row 'ring': expected uint8"):
        Gallery("", ["grad-cam"], {"ring": [picture]})


def test_galleries_are_whole() -> None:
    with pytest.raises(ValueError, match="row 'ring' has 0 pictures for 1 titles"):
        Gallery("", ["grad-cam"], {"ring": []})
    with pytest.raises(ValueError, match="colormap 'rainbow' is not one of turbo"):
        Gallery("", [], {}, "rainbow")
