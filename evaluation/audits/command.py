"""What the audits' commands have in common."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from evaluation.arguments import MODEL
from evaluation.classifier import Classifier, load_classifier
from evaluation.methods import Contender
from evaluation.report.markdown import markdown
from evaluation.report.section import Section
from model_store.recipe import RecipeError


class ScenesAudit(Protocol):
    """An audit of a classifier of scenes."""

    def __call__(self, classifier: Classifier, contenders: Sequence[Contender], *, images: int, seed: int) -> Section:
        """Audits so many pictures."""


def run(audit: ScenesAudit, description: str | None, methods: Sequence[str], images: int) -> int:
    """Runs an audit as a command and prints what came of it, the main table in Markdown.

    Args:
        audit: to run.
        description: of the command.
        methods: that are audited if the caller names none.
        images: how many pictures, likewise.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL, help="folder of a classifier of scenes")
    parser.add_argument("--methods", nargs="+", default=list(methods), help="ids with options, and controls")
    parser.add_argument("--images", type=int, default=images, help="pictures, as the settings in the report count them")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn at random")
    args = parser.parse_args()
    try:
        contenders = [Contender.parse(text) for text in dict.fromkeys(args.methods)]
        section = audit(load_classifier(args.model), contenders, images=args.images, seed=args.seed)
    except (RecipeError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{section.text}\n\n{section.tables[0].caption}\n\n{markdown(section.tables[0])}")
    return 0
