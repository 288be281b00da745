"""The page: one HTML file that holds all it shows and asks nothing of a network."""

import math
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from camserve.colormaps import DIVERGING
from evaluation.report import drawing, spreadsheet
from evaluation.report.image import data_uri, gradient, picture_uri
from evaluation.report.report import Report
from evaluation.report.section import Better, Plot, Table
from evaluation.report.standing import standing
from evaluation.report.style import styles

_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("evaluation.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.globals.update(
    Better=Better,
    DIVERGING=DIVERGING,
    drawing=drawing,
    gradient=gradient,
    isfinite=math.isfinite,
    picture_uri=picture_uri,
    standing=standing,
)


def page(report: Report) -> str:
    """Writes a report as HTML; names, captions and texts are taken as text, never as markup."""
    return _ENVIRONMENT.get_template("page.html").render(
        report=report, styles=styles(report.sections), csv_uri=_csv_uri, spread_widths=_spread_widths
    )


def _csv_uri(each: Table | Plot) -> str:
    text = spreadsheet.table_csv(each) if isinstance(each, Table) else spreadsheet.plot_csv(each)
    return data_uri(text.encode(), "text/csv")


def _spread_widths(table: Table) -> list[int]:
    """Per column, the characters of the widest spread, to which the others are filled up so that means line up."""
    widths = [0] * len(table.columns)
    for figures in table.rows.values():
        for place, (column, figure) in enumerate(zip(table.columns, figures, strict=True)):
            if figure is not None and figure.spread is not None:
                widths[place] = max(widths[place], len(column.shown(figure.spread)))
    return widths
