"""What came of a comparison, as a section of the report."""

from collections.abc import Sequence
from typing import Final

import torch

from evaluation.compare import BATCH, Comparison, Problem
from evaluation.gallery import gallery
from evaluation.journal import Journal
from evaluation.report.section import Section
from evaluation.table import tables

_LISTED: Final = 50
"""Problems that the text names one by one."""


def summary(comparison: Comparison, journal: Journal, problems: Sequence[Problem], *, shown: int) -> Section:
    """The section.

    Args:
        comparison: that was run.
        journal: of its results.
        problems: that it had.
        shown: pictures of the gallery.
    """
    subject, source, choices = comparison.subject, comparison.source, comparison.choices
    counts = source.counts()
    size = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    over = (
        f"Of {size} pictures."
        if len(counts) == 1
        else f"Means over {len(counts)} disjoint sets of {size} pictures each, ± their standard deviation."
    )
    names = [contender.name for contender in comparison.contenders]
    drawn = gallery(subject, source, comparison.contenders, choices, shown) if shown else None
    return Section(
        name="compare",
        title="Methods side by side",
        text=f"{subject.name} on {source.title}. Controls know nothing of the model: what they reach, anything does."
        f"\n\n{_told(problems)}",
        settings={
            "model": subject.name,
            "layers": ", ".join(subject.layers) or "chosen automatically",
            "pictures": f"{source.title}, {sum(counts)} in {len(counts)} {'set' if len(counts) == 1 else 'sets'}",
            "time": f"in batches of {BATCH}, on {torch.get_num_threads()} threads of this process or by the server",
            **choices.told(),
        },
        tables=tables(journal, names, comparison.measures, len(counts), over),
        galleries=[drawn] if drawn else [],
    )


def _told(problems: Sequence[Problem]) -> str:
    if not problems:
        return "Nothing was left out."
    listed = [f"Left out: {problem}." for problem in problems[:_LISTED]]
    more = len(problems) - len(listed)
    return "\n\n".join([*listed, *([f"And {more} more."] if more else [])])
