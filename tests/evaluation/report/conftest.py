"""A report with all that a report can have, and names that would break a page that trusted them."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from evaluation.report.report import Report
from evaluation.report.section import Better, Column, Figure, Gallery, Plot, Section, Table

HOSTILE = "<script>alert('\"&')</script>"


@pytest.fixture
def table() -> Table:
    columns = (Column("AD %", Better.LOWER), Column("AG | gain", Better.HIGHER, 2), Column("ms", Better.NEITHER, 0))
    return Table(
        "main",
        "On 3 pictures.",
        columns,
        {
            "fake-cam": [Figure(0.0, 0.0), Figure(0.001), Figure(0.0)],
            "grad-cam": [Figure(1 / 3, 0.25), Figure(-0.004, 10.0), Figure(12.0)],
            HOSTILE: [Figure(0.31), None, Figure(math.nan)],
            "hires-cam": [Figure(7.0, 12.34), Figure(0.5, 0.125), Figure(1234.5)],
            "true masks": [Figure(-1.0), Figure(1.0), None],
        },
        apart=("true masks",),
        by="way",
    )


@pytest.fixture
def report(table: Table) -> Report:
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (8, 12, 3), dtype=np.uint8)
    plot = Plot(
        "by-depth",
        f"Similarity {HOSTILE}.",
        "depth",
        "correlation",
        {
            "grad-cam": [(0.0, 1.0), (1.0, 0.1), (2.0, math.nan), (3.0, -0.2)],
            HOSTILE: [(0.0, 1.0), (3.0, 0.7)],
            "centre": [(0.0, 1.0), (3.0, 1.0)],
        },
    )
    gallery = Gallery(f"Maps {HOSTILE}.", ["picture", HOSTILE], {HOSTILE: [noise, noise[::-1]]}, "turbo")
    return Report(
        [
            Section(
                name="first-one",
                title=f"First {HOSTILE}",
                text=f"What {HOSTILE}.\n\nAnd more.",
                settings={HOSTILE: HOSTILE},
                tables=[table],
                plots=[plot],
                galleries=[gallery],
            ),
            Section("second", "Second", "Nothing but text.", {}),
        ],
        title=f"Title {HOSTILE}",
        settings={"command": HOSTILE},
        made=datetime(2026, 3, 4, 5, 6, tzinfo=UTC),
        version="1.2.3",
    )
