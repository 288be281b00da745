"""``camserve explain --grid``: several methods on one image, in one table and one picture."""

import argparse
import sys
from collections.abc import Sequence

from camserve import report
from camserve.client import ExplanationClient
from camserve.comparison import comparison_sheet
from camserve.errors import FailedPreconditionError
from camserve.requests import ExplainArguments
from camserve.results import ExplainResult

_QUICK, _ALL = "quick", "all"


def explain_grid(client: ExplanationClient, image: bytes, arguments: argparse.Namespace, call: ExplainArguments) -> int:
    """Explains with each method in turn; one that does not suit the model is told and left out.

    Returns:
        The exit status: 0, or 2 if no method suits the model.
    """
    results: list[ExplainResult] = []
    for method in _methods(client, call["model"], arguments.grid):
        try:
            results.append(client.explain(image, **call | {"method": method}))
        except FailedPreconditionError as error:
            print(f"left out: {error.message}", file=sys.stderr)
    if not results:
        return 2
    explanations = [explanation for result in results for explanation in result.explanations]
    paths = [arguments.out] if arguments.out else []
    if arguments.out:
        title = f"{call['model']}: {results[0].prediction.label}" if results[0].predictions else call["model"]
        sheet = comparison_sheet(explanations, title, colormap=arguments.colormap, opacity=arguments.opacity)
        sheet.save(arguments.out)
    print(report.grid_json(results, paths) if arguments.json else report.grid_text(results, paths))
    return 0


def _methods(client: ExplanationClient, model: str, wanted: Sequence[str]) -> list[str]:
    """What was asked for, with ``quick`` and ``all`` spelt out."""
    if not {_QUICK, _ALL} & set(wanted):
        return list(wanted)
    known = client.model(model).methods
    group = [method.id for method in known if _ALL in wanted or method.cost != "many"]
    return list(dict.fromkeys([*group, *(method for method in wanted if method not in (_QUICK, _ALL))]))
