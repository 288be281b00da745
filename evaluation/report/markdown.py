"""Tables in Markdown, for a README or a terminal, and a report's text and tables."""

from evaluation.report.report import Report
from evaluation.report.section import Column, Figure, Table
from evaluation.report.standing import standing


def markdown(table: Table) -> str:
    """The table without its caption: best values are bold, rows that do not compete stand last and in italics."""
    order = standing(table)
    titles = [_escaped(f"{column.title} {column.better.value}".rstrip()) for column in table.columns]
    lines = [_row([_escaped(table.by), *titles]), "|---|" + "---:|" * len(table.columns)]
    for row in (*order.competing, *order.apart):
        cells = [_cell(*pair) for pair in zip(table.columns, table.rows[row], strict=True)]
        cells = [f"**{cell}**" if row in best else cell for cell, best in zip(cells, order.best, strict=True)]
        name = f"`{_escaped(row)}`"
        lines.append(_row([f"*{name}*" if row in order.apart else name, *cells]))
    return "\n".join(lines) + "\n"


def chapters(report: Report) -> str:
    """The text, the settings and the tables of a report, without its plots and pictures."""
    parts = [f"# {report.title}"]
    for section in report.sections:
        settings = "; ".join(f"{name}: {value}" for name, value in section.settings.items())
        parts += [f"## {section.title}", section.text, *([f"*{settings}.*"] if settings else [])]
        for table in section.tables:
            parts += [table.caption, markdown(table).rstrip()]
    return "\n\n".join(parts) + "\n"


def _cell(column: Column, figure: Figure | None) -> str:
    if figure is None:
        return "\N{EN DASH}"
    spread = "" if figure.spread is None else f" ± {column.shown(figure.spread)}"
    return column.shown(figure.mean) + spread


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
