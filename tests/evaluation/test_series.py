"""Audits one after the other: failures are told, what is done waits, and what is whole is made anew."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evaluation.report.section import Better, Column, Figure, Gallery, Plot, Section, Table
from evaluation.series import run_all


def _section(name: str) -> Section:
    picture = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    return Section(
        name=name,
        title=name.title(),
        text="What was done.\n\nWhat came of it.",
        settings={"seed": "0"},
        tables=[
            Table(
                "main",
                "A table.",
                [Column("AD %", Better.LOWER, 2), Column("units")],
                {"grad-cam": [Figure(1.5, 0.25), None], "fake-cam": [Figure(float("nan")), Figure(3.0)]},
                apart={"fake-cam"},
            )
        ],
        plots=[Plot("depth", "A plot.", "depth", "rank", {"grad-cam": [(0.0, 1.0), (1.0, 0.5)]})],
        galleries=[Gallery("Pictures.", ["picture", "map"], {"scene 1": [picture, 255 - picture]}, "turbo")],
    )


def _calls(done: list[str], *names: str) -> dict[str, Callable[[], Section]]:
    def of(name: str) -> Callable[[], Section]:
        def audit() -> Section:
            done.append(name)
            if name == "broken":
                raise RuntimeError("no such luck")
            if name == "slow":
                raise KeyboardInterrupt
            return _section(name)

        return audit

    return {name: of(name) for name in names}


def test_one_that_fails_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    done: list[str] = []
    sections, problems = run_all(_calls(done, "first", "broken", "last"), tmp_path / "waiting", "key")
    assert [section.name for section in sections] == ["first", "last"]
    assert [str(problem) for problem in problems] == ["broken: failed with RuntimeError: no such luck"]
    sections, problems = run_all(_calls(done, "first", "last"), tmp_path / "waiting", "key")
    assert done == ["first", "broken", "last"]
    assert not problems
    assert not (tmp_path / "waiting").exists()
    run_all(_calls(done, "first"), tmp_path / "waiting", "key")
    assert done[-1] == "first"


def test_an_interrupted_series_goes_on(tmp_path: Path) -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run_all(_calls(done, "first", "slow"), tmp_path, "key")
    sections, _ = run_all(_calls(done, "first", "last"), tmp_path, "key")
    assert done == ["first", "slow", "last"]
    kept, made = sections[0], _section("first")
    assert (kept.name, kept.title, kept.text, kept.settings) == (made.name, made.title, made.text, made.settings)
    assert kept.tables[0].columns == made.tables[0].columns
    assert kept.tables[0].rows["grad-cam"] == made.tables[0].rows["grad-cam"]
    assert np.isnan(kept.tables[0].rows["fake-cam"][0].mean)
    assert set(kept.tables[0].apart) == {"fake-cam"}
    assert [tuple(point) for point in kept.plots[0].lines["grad-cam"]] == [(0.0, 1.0), (1.0, 0.5)]
    for mine, theirs in zip(kept.galleries[0].rows["scene 1"], made.galleries[0].rows["scene 1"], strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_sections_of_another_model_are_made_again(tmp_path: Path) -> None:
    done: list[str] = []
    run_all(_calls(done, "first", "broken"), tmp_path, "key")
    run_all(_calls(done, "first", "broken"), tmp_path, "other")
    assert done == ["first", "broken"] * 2
