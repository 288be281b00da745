"""``camserve explain-dir``: all images of a folder."""

import argparse
import json
import sys
from pathlib import Path

from camserve.client import ExplanationClient
from camserve.commands import values
from camserve.commands.command import Commands, add_command, completed_by_files
from camserve.commands.inputs import InputError
from camserve.commands.subject import add_drawing, add_subject, chosen_model, explain_arguments
from camserve.folder import ArgumentsChangedError, explain_folder
from camserve.folder_output import FORMS, folder_output
from camserve.progress_bar import ProgressBar

_EXAMPLES = """\
examples:
  camserve explain-dir photos --out explained --method layer-cam
  camserve explain-dir photos --out explained --form parquet --no-overlays
  camserve explain-dir photos --out explained --server dns:///camserve:50051 --streams 6

An earlier run is gone on with where it ended. --timeout is not used: a stream has no deadline.
"""


def add(commands: Commands, on_model: argparse.ArgumentParser) -> None:
    """Declares the command."""
    text = "explain all images of a folder and of those in it"
    folder = add_command(commands, "explain-dir", run, parents=[on_model], text=text, examples=_EXAMPLES)
    completed_by_files(folder.add_argument("folder", metavar="FOLDER", type=Path, help="where the images are"))
    completed_by_files(
        folder.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="where their explanations go")
    )
    folder.add_argument(
        "--form", choices=FORMS, default="npz", help="a file for each image, or tables (default: %(default)s)"
    )
    folder.add_argument("--no-overlays", dest="overlays", action="store_false", help="maps alone, no pictures")
    folder.add_argument(
        "--streams",
        type=values.streams,
        default=1,
        metavar="N",
        help="streams at a time; with replicas, as many (default: 1)",
    )
    add_subject(folder)
    add_drawing(folder)


def run(client: ExplanationClient, arguments: argparse.Namespace) -> int:
    """Explains them; returns 1 if some could not be."""
    folder: Path = arguments.folder
    if not folder.is_dir():
        raise InputError(f"there is no folder {str(folder)!r}")
    call = explain_arguments(arguments)
    call["model"] = chosen_model(client, arguments)
    drawing = {"overlays": arguments.overlays, "colormap": arguments.colormap, "opacity": arguments.opacity}
    bar = ProgressBar(sys.stderr)
    try:
        state = explain_folder(
            client,
            folder,
            folder_output(arguments.form, arguments.out, **drawing),
            streams=arguments.streams,
            progress=lambda state: bar.show(state.before + state.done, state.total, len(state.failed)),
            **call,
        )
    except (ArgumentsChangedError, ModuleNotFoundError) as error:
        raise InputError(str(error)) from error
    finally:
        bar.close()
    if arguments.json:
        print(json.dumps(vars(state), indent=2))
    else:
        print(f"{state.done} explained, {state.before} were before, {len(state.failed)} failed: {arguments.out}")
    if state.failed:
        failed = arguments.out / "failed.jsonl"
        print(f"camserve: what was wrong with the {len(state.failed)} is in {failed}", file=sys.stderr)
    return int(bool(state.failed))
