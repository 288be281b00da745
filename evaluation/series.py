"""Evaluations one after the other; what is done waits on disk for the others, in case they are interrupted."""

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from evaluation.compare import Problem
from evaluation.kept import load, save
from evaluation.report.section import Section

Evaluation = Callable[[], Section]
"""Takes minutes."""


def run_all(evaluations: Mapping[str, Evaluation], folder: Path, key: str) -> tuple[list[Section], list[Problem]]:
    """Runs evaluations; one that fails is told, and the rest goes on.

    Args:
        evaluations: by name.
        folder: where sections wait. Once none has failed it is removed, so that the next run starts anew.
        key: what all of them depend on; sections of another one are made again.

    Returns:
        The sections in order, and what failed.
    """
    sections, problems = [], []
    for name, evaluation in evaluations.items():
        file = folder / f"{name}.json"
        section = load(file, key)
        if section is None:
            started = time.monotonic()
            sys.stderr.write(f"{name} ...\n")
            try:
                section = evaluation()
            except Exception as error:
                problems.append(Problem(name, f"failed with {type(error).__name__}: {error}"))
                continue
            save(section, file, key)
            sys.stderr.write(f"{name}: {time.monotonic() - started:.0f} s\n")
        sections.append(section)
    if not problems:
        shutil.rmtree(folder, ignore_errors=True)
    return sections, problems
