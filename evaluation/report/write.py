"""A report as files."""

import json
from pathlib import Path

from evaluation.report.document import document
from evaluation.report.markdown import chapters
from evaluation.report.page import page
from evaluation.report.report import Report
from evaluation.report.sheet import sheet
from evaluation.report.spreadsheet import plot_csv, table_csv


def write(report: Report, folder: Path) -> Path:
    """Writes ``index.html``, ``report.md``, ``report.json``, and tables, plots and galleries by themselves.

    Those are ``<section>/<name>.csv`` and ``<section>/gallery-<number>.png``.

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
    for section in report.sections:
        for number, gallery in enumerate(section.galleries, 1):
            _put(folder / section.name / f"gallery-{number}.png", sheet(gallery))
    for name, text in texts.items():
        _put(folder / name, text.encode())
    return folder / "index.html"


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    partial.write_bytes(content)
    partial.replace(path)
