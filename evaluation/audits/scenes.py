"""All that a classifier of scenes is asked before it is trusted."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from evaluation.arguments import METHODS
from evaluation.audits import adversarial, sanity, supervision
from evaluation.audits.walls.audit import audit_scenes
from evaluation.audits.walls.section import section as walls
from evaluation.choices import Choices
from evaluation.classifier import Classifier
from evaluation.columns.catalogue import ALL, chosen
from evaluation.compare import Comparison
from evaluation.journal import Journal
from evaluation.methods import Contender
from evaluation.pictures.scenes import Scenes
from evaluation.report.section import Section
from evaluation.series import Evaluation
from evaluation.summary import summary

COUNT: Final = 10
"""Pictures of each set."""
SETS: Final = 2
SAMPLES: Final = 3
"""Noisy copies for max-sensitivity."""
SHOWN: Final = 4
"""Pictures in the gallery."""
IMAGES: Final = 12
"""Of the other audits."""


def audits(classifier: Classifier, folder: Path) -> Mapping[str, Evaluation]:
    """By name, in the order of the report.

    Args:
        classifier: of scenes; the walls are those of networks of their own.
        folder: where the comparison keeps its journal.
    """
    return {
        "compare": partial(_compared, classifier, folder),
        "walls": lambda: walls(audit_scenes()),
        "sanity": lambda: sanity.sanity(classifier, _parsed(sanity.METHODS), images=IMAGES),
        "adversarial": lambda: adversarial.adversarial(classifier, _parsed(adversarial.METHODS), images=IMAGES),
        "supervision": lambda: supervision.supervision(classifier, _parsed(supervision.METHODS)),
    }


def _compared(classifier: Classifier, folder: Path) -> Section:
    source = Scenes(("one-class", "two-class"), COUNT, SETS, classifier.size)
    measures = chosen([ALL], source.truths)
    comparison = Comparison(classifier, source, _parsed(METHODS), measures, Choices(samples=SAMPLES))
    journal = Journal(folder / "compare.jsonl", comparison.settings)
    return summary(comparison, journal, comparison.run(journal), shown=SHOWN)


def _parsed(methods: tuple[str, ...]) -> list[Contender]:
    return [Contender.parse(text) for text in methods]
