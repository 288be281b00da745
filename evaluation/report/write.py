"""A report as files."""

import json
from pathlib import Path

from evaluation.report.document import document
from evaluation.report.markdown import chapters
from evaluation.report.page import page
from evaluation.report.report import Report
from evaluation.report.spreadsheet import plot_csv, table_csv


def write(report: Report, folder: Path) -> Path:
    """Writes ``index.html``, ``report.md``, ``report.json`` and, per table and plot, ``<section>/<name>.csv``.

    A file is there whole or not at all, whatever stops the run; the page comes last. Other files are left alone.

    Args:
        report: what to write.
        folder: made if it is not there.

    Returns:
        Path of the page.

    Raises:
        OSError: the folder cannot be written.
    """
    texts = {
        f"{section.name}/{table.name}.csv": table_csv(table) for section in report.sections for table in section.tables
    }
    texts |= {
        f"{section.name}/{plot.name}.csv": plot_csv(plot) for section in report.sections for plot in section.plots
    }
    texts["report.json"] = json.dumps(document(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    texts["report.md"] = chapters(report)
    texts["index.html"] = page(report)
    for name, text in texts.items():
        _put(folder / name, text)
    return folder / "index.html"


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
