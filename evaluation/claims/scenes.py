"""All claims, on the scenes classifier."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from evaluation.claims.compared import Sample
from evaluation.claims.conceptor_cam import conceptor_cam
from evaluation.claims.excitation import excitation
from evaluation.claims.interpretable_gradients import interpretable_gradients
from evaluation.claims.opti_cam import opti_cam
from evaluation.claims.trained import MODEL
from evaluation.classifier import load_classifier
from evaluation.series import Evaluation

CLAIMS: Final = MappingProxyType(
    {
        "opti-cam": opti_cam,
        "conceptor-cam": conceptor_cam,
        "excitation": excitation,
        "interpretable-gradients": interpretable_gradients,
    }
)
"""By name, in the order of the report."""


def claims(names: list[str], count: int, sets: int, folder: Path) -> tuple[Mapping[str, Evaluation], str]:
    """What to measure, by name, and what all of it depends on.

    Args:
        names: of ``CLAIMS``.
        count: scenes of each set.
        sets: disjoint ones.
        folder: where intermediate results wait.
    """
    classifier = load_classifier(MODEL)
    sample = Sample(classifier, count, sets, folder)
    return {name: partial(CLAIMS[name], sample) for name in names}, f"{classifier.digest} {count} {sets}"
