"""A report as plain JSON values: all but the pictures."""

import math
from typing import Any

from evaluation.report.report import Report
from evaluation.report.section import Figure, Gallery, Plot, Section, Table


def document(report: Report) -> dict[str, Any]:
    """What goes into the JSON file; null for what is not a number."""
    return {
        "title": report.title,
        "made": report.made.isoformat(),
        "version": report.version,
        "settings": dict(report.settings),
        "sections": [_section(section) for section in report.sections],
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "name": section.name,
        "title": section.title,
        "text": section.text,
        "settings": dict(section.settings),
        "tables": [_table(table) for table in section.tables],
        "plots": [_plot(plot) for plot in section.plots],
        "galleries": [_gallery(gallery) for gallery in section.galleries],
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "caption": table.caption,
        "by": table.by,
        "columns": [
            {"title": column.title, "better": column.better.name.lower(), "digits": column.digits}
            for column in table.columns
        ],
        "rows": {row: [_figure(figure) for figure in figures] for row, figures in table.rows.items()},
        "apart": [row for row in table.rows if row in table.apart],
    }


def _figure(figure: Figure | None) -> dict[str, float | None] | None:
    return None if figure is None else {"mean": _number(figure.mean), "spread": _number(figure.spread)}


def _plot(plot: Plot) -> dict[str, Any]:
    return {
        "name": plot.name,
        "caption": plot.caption,
        "across": plot.across,
        "up": plot.up,
        "lines": {name: [[_number(x), _number(y)] for x, y in line] for name, line in plot.lines.items()},
    }


def _gallery(gallery: Gallery) -> dict[str, Any]:
    return {"caption": gallery.caption, "titles": list(gallery.titles), "rows": list(gallery.rows)}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
