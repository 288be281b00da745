"""Tables of methods side by side, which most claims are about."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from evaluation.choices import Choices
from evaluation.classifier import Classifier
from evaluation.columns.catalogue import chosen
from evaluation.compare import Comparison, Problem
from evaluation.journal import Journal
from evaluation.methods import Contender
from evaluation.pictures.scenes import Scenes
from evaluation.report.section import Table
from evaluation.table import tables

FAITHFUL: Final = ("drop", "gain", "increase", "insertion", "deletion")
"""Measures that papers give."""


@dataclass(frozen=True)
class Sample:
    """What tables are measured on.

    Attributes:
        classifier: that is explained.
        count: held-out scenes of each set.
        sets: disjoint ones, over which figures spread.
        folder: where journals wait in case of an interruption.
    """

    classifier: Classifier
    count: int
    sets: int
    folder: Path

    @property
    def over(self) -> str:
        """What figures are of, for captions."""
        return f"Means over {self.sets} disjoint sets of {self.count} held-out scenes, ± their standard deviation."

    def table(self, name: str, caption: str, methods: Sequence[str], measures: Sequence[str]) -> Table:
        """Measures methods.

        Args:
            name: of the table and of its journal, kebab-case.
            caption: what is asked.
            methods: as ``camserve-eval compare`` takes them, and controls.
            measures: all from one of its tables.

        Raises:
            ValueError: a method does not work on the classifier.
        """
        source = Scenes(("one-class", "two-class"), self.count, self.sets, self.classifier.size)
        contenders = [Contender.parse(text) for text in methods]
        columns = chosen(measures, source.truths)
        comparison = Comparison(self.classifier, source, contenders, columns, Choices())
        journal = Journal(self.folder / f"{name}.jsonl", comparison.settings)
        problems: list[Problem] = comparison.run(journal)
        if problems:
            raise ValueError("; ".join(str(problem) for problem in problems))
        (table,) = tables(journal, methods, columns, self.sets, "")
        return replace(table, name=name, caption=f"{caption} {self.over}")
