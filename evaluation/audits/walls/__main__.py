"""The audit as a command: ``python -m evaluation.audits.walls``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from evaluation.audits.walls.audit import METHODS, PICTURES, audit, audit_scenes, wall_of
from evaluation.audits.walls.pictures import stacked_photos
from evaluation.audits.walls.section import section
from evaluation.classifier import load_classifier
from evaluation.report.markdown import markdown
from evaluation.report.report import Report
from evaluation.report.write import write


def main(arguments: Sequence[str] | None = None) -> int:
    """Audits, writes the report, prints its tables; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.audits.walls",
        description="Do maps show what the model cannot see?",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--methods", nargs="+", default=list(METHODS), metavar="METHOD", help="ids, as opti-cam:steps=50; controls"
    )
    parser.add_argument("--model", type=Path, help="folder of a model of train_on_folder; none: the one for scenes")
    parser.add_argument("--images", type=Path, help="folder with a folder of pictures per class, for that model")
    parser.add_argument("--count", type=int, default=PICTURES, help="pictures to draw, at least 1")
    parser.add_argument("--out", type=Path, default=Path("out/walls"), help="folder of the report")
    args = parser.parse_args(arguments)
    if args.count < 1:
        parser.error("--count must be at least 1")
    if (args.model is None) != (args.images is None):
        parser.error("--model and --images go together; give both or none")
    try:
        if args.model:
            blind = load_classifier(args.model)
            drawn = stacked_photos(args.images, blind.labels, args.count, blind.size[0], wall_of(blind))
            findings = audit(blind, drawn, methods=args.methods)
        else:
            findings = audit_scenes(args.methods, args.count)
    except (FileNotFoundError, TypeError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    found = section(findings)
    page = write(Report([found]), args.out)
    tables = "\n".join(f"{table.caption}\n\n{markdown(table)}" for table in found.tables)
    sys.stdout.write(f"{found.text}\n\n{tables}\n{page}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
