"""The ``camserve-eval`` command."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from camserve.commands.connection import security
from camserve.errors import CamserveError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from evaluation.arguments import parser
from evaluation.audits.scenes import audits
from evaluation.choices import Choices
from evaluation.claims.scenes import claims
from evaluation.classifier import load_classifier
from evaluation.columns.catalogue import chosen
from evaluation.compare import Comparison, Problem
from evaluation.journal import Journal
from evaluation.measures.faithfulness import Protocol
from evaluation.methods import Contender
from evaluation.pictures.folder import open_folder
from evaluation.pictures.scenes import Scenes
from evaluation.pictures.source import Source, SourceError, Truth
from evaluation.report.markdown import markdown
from evaluation.report.report import Report
from evaluation.report.write import write
from evaluation.series import run_all
from evaluation.service import ServedClassifier
from evaluation.subject import Subject
from evaluation.summary import summary
from model_store.recipe import load_recipe
from model_store.scenes.vocabulary import SHAPES
from model_store.sections import Preprocessing

_LEFT_OUT = 1
_CANNOT = 2
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: arguments; None: those of the process.

    Returns:
        The exit status: 0; 1 if something was left out, or the server failed; 2 if it cannot be done as asked; 130 if
        it was interrupted.
    """
    args = parser().parse_args(argv)
    try:
        problems = _COMMANDS[args.command](args)
    except KeyboardInterrupt:
        return _fail(_INTERRUPTED, "interrupted; the same command goes on from here")
    except (FailedPreconditionError, InvalidArgumentError, NotFoundError) as error:
        return _fail(_CANNOT, error.message)
    except CamserveError as error:
        return _fail(_LEFT_OUT, f"{error.message}; the same command goes on from here")
    except (ValueError, OSError) as error:
        return _fail(_CANNOT, str(error))
    for problem in problems:
        sys.stderr.write(f"left out: {problem}\n")
    return _LEFT_OUT if problems else 0


def _compare(args: argparse.Namespace) -> list[Problem]:
    contenders = [Contender.parse(text) for text in dict.fromkeys(args.methods)]
    with _subject(args) as (subject, preprocessing):
        source = _source(args, subject, preprocessing)
        choices = _choices(args, subject, source)
        comparison = Comparison(subject, source, contenders, chosen(args.measures, source.truths), choices)
        journal = Journal(args.out / "results.jsonl", comparison.settings)
        problems = comparison.run(journal)
        section = summary(comparison, journal, problems, shown=args.gallery)
    write(Report([section], title=section.title), args.out)
    for table in section.tables:
        sys.stdout.write(f"{table.caption}\n\n{markdown(table)}\n")
    sys.stdout.write(f"report: {args.out / 'index.html'}\n")
    return problems


def _audit(args: argparse.Namespace) -> list[Problem]:
    classifier = load_classifier(args.model)
    if classifier.labels != SHAPES:
        raise SourceError(f"{classifier.name} knows no scenes, on which all audits are made; name a model that does")
    waiting = args.out / "waiting"
    sections, problems = run_all(audits(classifier, waiting), waiting, classifier.digest)
    if sections:
        write(Report(sections, settings={"command": "camserve-eval audit", "model": classifier.name}), args.out)
        sys.stdout.write(f"report: {args.out / 'index.html'}\n")
    return problems


def _claims(args: argparse.Namespace) -> list[Problem]:
    waiting = args.out / "waiting"
    asked, key = claims(list(dict.fromkeys(args.claims)), args.count, args.sets, waiting)
    sections, problems = run_all(asked, waiting, key)
    if sections:
        settings = {"command": "camserve-eval claims", "scenes": f"{args.sets} sets of {args.count}"}
        write(Report(sections, title="What papers claim, measured on scenes", settings=settings), args.out)
        sys.stdout.write(f"report: {args.out / 'index.html'}, {args.out / 'report.md'}\n")
    return problems


@contextmanager
def _subject(args: argparse.Namespace) -> Iterator[tuple[Subject, Preprocessing]]:
    if args.server is None:
        folder = Path(args.model)
        yield load_classifier(folder), load_recipe(folder).preprocessing
        return
    name = Path(args.model).name  # the default is a folder
    classifier = ServedClassifier(args.server, name, parallel=args.parallel, timeout=args.timeout, **security(args))
    with classifier as served:
        yield served, served.preprocessing


def _source(args: argparse.Namespace, subject: Subject, preprocessing: Preprocessing) -> Source:
    if args.images is not None:
        sets = args.sets or 1
        return open_folder(args.images, subject.labels, preprocessing, split=args.split, count=args.count, sets=sets)
    if subject.labels != SHAPES:
        raise SourceError(f"{subject.name} knows no scenes; name a folder of its own pictures with --images")
    return Scenes(tuple(args.kinds), args.count or 64, args.sets or 3, subject.size)


def _choices(args: argparse.Namespace, subject: Subject, source: Source) -> Choices:
    labelled = Truth.LABELS in source.truths
    classes = args.classes or ("label" if labelled else "predicted")
    if classes == "label" and not labelled:
        raise SourceError(f"{args.images}: its pictures have no labels; explain --classes predicted")
    if subject.mean is None and "mean" in (args.mask, args.insertion, args.deletion):
        raise ValueError("--mask, --insertion, --deletion: servers do not tell the mean colour; choose black or blur")
    return Choices(
        Protocol(classes, args.mask, args.insertion, args.deletion, args.steps),
        region=args.region,
        tolerance=args.tolerance,
        top=args.top,
        threshold=args.threshold,
        radius=args.radius,
        samples=args.samples,
        seed=args.seed,
    )


def _fail(status: int, message: str) -> int:
    sys.stderr.write(f"camserve-eval: {message}\n")
    return status


_COMMANDS = {"compare": _compare, "audit": _audit, "claims": _claims}


if __name__ == "__main__":
    sys.exit(main())
