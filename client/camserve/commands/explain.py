"""``camserve explain``: the prediction, and what in the image spoke for a target."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from camserve import report
from camserve.client import ExplanationClient
from camserve.commands import values
from camserve.commands.command import Commands, add_command, completed_by_files
from camserve.commands.grid import explain_grid
from camserve.commands.inputs import InputError, image_argument, read_image
from camserve.commands.subject import add_drawing, add_subject, chosen_model, explain_arguments
from camserve.errors import InternalError
from camserve.explanation import Explanation
from camserve.requests import ExplainArguments
from camserve.results import ExplainResult

_EXAMPLES = """\
examples:
  camserve explain photo.jpg --out overlay.png
  camserve explain photo.jpg --class circle --class star --out overlay.png
      writes overlay-circle.png and overlay-star.png
  camserve explain photo.jpg --grid grad-cam,layer-cam,opti-cam --out grid.png
      one picture with the map of each method
  camserve explain photo.jpg --method opti-cam --option steps=200 --progress --out overlay.png
  camserve explain photo.jpg --method score-cam --faithfulness
  camserve explain photo.jpg --caption "a small red circle" --per-token --out words.png
  camserve explain photo.jpg --question "what colour is the circle?" --answer red --out overlay.png
"""


def add(commands: Commands, on_model: argparse.ArgumentParser) -> None:
    """Declares the command."""
    text = "predict, and show what in the image spoke for a target; without one, for the prediction"
    explain = add_command(commands, "explain", run, parents=[on_model], text=text, examples=_EXAMPLES)
    image_argument(explain)
    add_subject(explain)
    explain.add_argument(
        "--grid",
        type=values.method_ids,
        metavar="METHOD,...",
        help="compare these; quick: all of the model that cost few passes; all: all of it; --out is a sheet of them",
    )
    completed_by_files(
        explain.add_argument(
            "--out", type=values.picture_path, metavar="PATH", help="write the overlay here; PATH-LABEL for several"
        )
    )
    explain.add_argument(
        "--progress", action="store_true", help="show on standard error how far a method of many steps is"
    )
    add_drawing(explain)


def run(client: ExplanationClient, arguments: argparse.Namespace) -> int:
    """Explains, prints a table and writes the overlays that were asked for."""
    call = explain_arguments(arguments)
    _check_grid(arguments)
    image = read_image(arguments.image)
    call["model"] = chosen_model(client, arguments)
    if arguments.grid:
        return explain_grid(client, image, arguments, call)
    result = _explain_watched(client, image, **call) if arguments.progress else client.explain(image, **call)
    paths = _overlay_paths(arguments.out, result.explanations) if arguments.out else []
    for path, explanation in zip(paths, result.explanations, strict=False):
        draw = explanation.words_sheet if explanation.tokens else explanation.overlay
        draw(path, colormap=arguments.colormap, opacity=arguments.opacity)
    print(report.explain_json(result, paths) if arguments.json else report.explain_text(result, paths))
    return 0


def _explain_watched(client: ExplanationClient, image: bytes, **call: Unpack[ExplainArguments]) -> ExplainResult:
    """Explains, and shows how far it is, in a line that is written over again."""
    shown = False
    try:
        for event in client.explain_progress(image, **call):
            if isinstance(event, ExplainResult):
                return event
            print(f"\r{report.progress_text(event):<60}", end="", file=sys.stderr, flush=True)
            shown = True
    finally:
        if shown:
            print(file=sys.stderr)
    raise InternalError("the server ended without a result; look into its log", "NO_RESULT")


def _check_grid(arguments: argparse.Namespace) -> None:
    given = {
        "--method": arguments.method,
        "--option": arguments.options,
        "--per-token": arguments.per_token,
        "--progress": arguments.progress,
    }
    clash = next((option for option, value in given.items() if value), None)
    if arguments.grid and clash:
        raise InputError(f"give --grid or {clash}: a grid runs each of its methods as it is, on whole targets")


def _overlay_paths(path: Path, explanations: Sequence[Explanation]) -> list[Path]:
    """``overlay.png`` for one explanation; ``overlay-circle.png`` and so on for several."""
    if len(explanations) == 1:
        return [path]
    names = [report.file_name(explanation.target.label) for explanation in explanations]
    if len(set(names)) < len(names):
        names = [f"{place}-{name}" for place, name in enumerate(names)]
    return [path.with_stem(f"{path.stem}-{name}") for name in names]
