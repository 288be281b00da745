"""Files: CSV and JSON give back what went in, and a file is there whole or not at all."""

import csv
import json
import math
from pathlib import Path

import pytest

from evaluation.report.markdown import markdown
from evaluation.report.page import page
from evaluation.report.report import Report
from evaluation.report.section import Figure
from evaluation.report.write import write


def _number(text: str) -> float | None:
    return float(text) if text else None


def _same(first: float | None, second: float | None) -> bool:
    if first is None or second is None:
        return first is second
    return first == second or (math.isnan(first) and math.isnan(second))


def test_files_are_those_that_are_named(report: Report, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "audit"
    assert write(report, folder) == folder / "index.html"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "index.html",
        "report.md",
        "report.json",
        "first-one/main.csv",
        "first-one/by-depth.csv",
        "first-one/gallery-1.png",
    }
    assert (folder / "index.html").read_text() == page(report)
    text = (folder / "report.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        *(f"# {report.title}", *(f"## {section.title}" for section in report.sections))
    ]
    assert markdown(report.sections[0].tables[0]) in text


def test_tables_come_back_from_csv(report: Report, tmp_path: Path) -> None:
    write(report, tmp_path)
    [table] = report.sections[0].tables
    with (tmp_path / "first-one" / "main.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["way", *(t for c in table.columns for t in (c.title, f"{c.title} spread"))]
    assert [row[0] for row in rows] == list(table.rows)
    for row, figures in zip(rows, table.rows.values(), strict=True):
        for place, figure in enumerate(figures):
            mean, spread = map(_number, row[1 + 2 * place : 3 + 2 * place])
            assert _same(mean, None if figure is None else figure.mean)
            assert _same(spread, None if figure is None else figure.spread)


def test_plots_come_back_from_csv(report: Report, tmp_path: Path) -> None:
    write(report, tmp_path)
    [plot] = report.sections[0].plots
    with (tmp_path / "first-one" / "by-depth.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["method", "depth", "correlation"]
    points = [(name, *point) for name, line in plot.lines.items() for point in line]
    assert len(rows) == len(points)
    for (found, x, y), (name, across, up) in zip(rows, points, strict=True):
        assert found == name
        assert _same(float(x), across)
        assert _same(float(y), up)


def test_all_but_pictures_comes_back_from_json(report: Report, tmp_path: Path) -> None:
    write(report, tmp_path)
    found = json.loads((tmp_path / "report.json").read_text())
    assert (found["title"], found["version"], found["settings"]) == (report.title, "1.2.3", report.settings)
    assert found["made"] == "2026-03-04T05:06:00+00:00"
    first, second = found["sections"]
    section = report.sections[0]
    assert (first["name"], first["title"], first["text"]) == (section.name, section.title, section.text)
    assert first["settings"] == section.settings
    assert (second["tables"], second["plots"], second["galleries"]) == ([], [], [])
    [table], [gallery] = section.tables, section.galleries
    assert [column["better"] for column in first["tables"][0]["columns"]] == ["lower", "higher", "neither"]
    assert (first["tables"][0]["by"], first["tables"][0]["apart"]) == ("way", ["true masks"])
    rows = first["tables"][0]["rows"]
    assert list(rows) == list(table.rows)
    for name, figures in table.rows.items():
        for each, figure in zip(rows[name], figures, strict=True):
            assert (each is None) == (figure is None)
            if figure is not None:
                mean = math.nan if each["mean"] is None else each["mean"]
                assert _same(mean, figure.mean)
                assert each["spread"] == figure.spread
    assert first["plots"][0]["lines"]["grad-cam"] == [[0, 1], [1, 0.1], [2, None], [3, -0.2]]
    assert first["galleries"] == [
        {"caption": gallery.caption, "titles": list(gallery.titles), "rows": list(gallery.rows)}
    ]


def test_a_second_report_replaces_the_first_and_leaves_other_files(report: Report, tmp_path: Path) -> None:
    other = tmp_path / "results.jsonl"
    other.write_text("kept")
    write(report, tmp_path)
    write(Report(report.sections[1:], title="Another"), tmp_path)
    assert "Another" in (tmp_path / "index.html").read_text()
    assert other.read_text() == "kept"
    assert not list(tmp_path.rglob("*.part"))


def test_a_report_that_cannot_be_written_leaves_the_old_page(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(report, tmp_path)
    before = (tmp_path / "index.html").read_text()
    monkeypatch.setattr("evaluation.report.write.document", lambda _: {"value": math.nan})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write(Report(report.sections, title="Another"), tmp_path)
    assert (tmp_path / "index.html").read_text() == before


def test_a_file_where_the_folder_should_be(report: Report, tmp_path: Path) -> None:
    place = tmp_path / "taken"
    place.write_text("")
    with pytest.raises(OSError, match="taken"):
        write(report, place)


def test_figures_keep_all_digits(report: Report, tmp_path: Path) -> None:
    write(report, tmp_path)
    assert report.sections[0].tables[0].rows["grad-cam"][0] == Figure(1 / 3, 0.25)
    assert str(1 / 3) in (tmp_path / "first-one" / "main.csv").read_text()
