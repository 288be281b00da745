"""The ``camserve`` command: predictions and explanations from the shell."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Unpack

from camserve import report
from camserve.arguments import parser
from camserve.client import ExplanationClient
from camserve.credentials import tls_credentials
from camserve.errors import (
    CamserveError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
)
from camserve.explanation import Explanation
from camserve.folder import ArgumentsChangedError, explain_folder
from camserve.folder_output import folder_output
from camserve.models import Model
from camserve.progress_bar import ProgressBar
from camserve.requests import ExplainArguments, Task
from camserve.results import ExplainResult
from camserve.targets import answer, caption
from camserve.v1 import explanation_pb2 as pb

_EXIT_SERVER = 1
_EXIT_INPUT = 2
_EXIT_INTERRUPTED = 130

_INPUT_ERRORS = (InvalidArgumentError, NotFoundError, FailedPreconditionError)

_HINTS = {
    "SERVER_UNREACHABLE": "Start one with `camserve-server up`, or say where it is with --server HOST:PORT.",
    "TOKEN_REQUIRED": "Put your token into the variable CAMSERVE_TOKEN.",
    "DEADLINE_EXCEEDED": "Allow more with --timeout SECONDS.",
    "MODEL_UNKNOWN": "`camserve models` lists the models.",
    **dict.fromkeys(
        ("ANSWER_UNKNOWN", "LABEL_UNKNOWN", "LAYER_UNKNOWN", "METHOD_UNKNOWN"),
        "`camserve models NAME` lists the labels, layers and methods of a model.",
    ),
}
"""What to do next, by the reason of an error."""


class _InputError(Exception):
    """What the user gave cannot be used; the message says why and what to do."""


class _IncompleteError(Exception):
    """Some of what was asked for could not be done; the message says what to look at."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: arguments; None: those of the process.

    Returns:
        The exit status.
    """
    arguments = parser().parse_args(argv)
    try:
        with _client(arguments) as client:
            _COMMANDS[arguments.command](client, arguments)
    except CamserveError as error:
        hint = f"\n{_HINTS[error.reason]}" if error.reason in _HINTS else ""
        return _fail(_EXIT_INPUT if isinstance(error, _INPUT_ERRORS) else _EXIT_SERVER, error.message + hint)
    except _IncompleteError as error:
        return _fail(_EXIT_SERVER, str(error))
    except (_InputError, OSError) as error:
        return _fail(_EXIT_INPUT, str(error))
    except KeyboardInterrupt:
        return _fail(_EXIT_INTERRUPTED, "interrupted")
    return 0


def _client(arguments: argparse.Namespace) -> ExplanationClient:
    encrypted = arguments.tls or arguments.ca or arguments.certificate or arguments.key
    try:
        return ExplanationClient(
            arguments.server,
            credentials=tls_credentials(ca=arguments.ca, certificate=arguments.certificate, key=arguments.key)
            if encrypted
            else None,
            token=os.environ.get("CAMSERVE_TOKEN", ""),  # not an argument, which every process could read
            timeout=arguments.timeout,
        )
    except ValueError as error:
        raise _InputError(f"{error} (--tls, --ca, --certificate, --key)") from None


def _explain(client: ExplanationClient, arguments: argparse.Namespace) -> None:
    _targets(arguments)  # what is wrong with them comes before what is wrong with the image
    image = _read(arguments.image)
    explain = partial(_explain_watched, client) if arguments.progress else client.explain
    result = explain(image, **_what(client, arguments))
    paths = _overlay_paths(arguments.out, result.explanations) if arguments.out else []
    for path, explanation in zip(paths, result.explanations, strict=False):
        draw = explanation.words_sheet if explanation.tokens else explanation.overlay
        draw(path, colormap=arguments.colormap, opacity=arguments.opacity)
    if arguments.json:
        print(report.explain_json(result, paths))
    else:
        print(report.explain_text(result, paths))


def _explain_watched(client: ExplanationClient, image: bytes, **arguments: Unpack[ExplainArguments]) -> ExplainResult:
    """Explains, and shows how far it is, in a line that is written over again."""
    shown = False
    try:
        for event in client.explain_progress(image, **arguments):
            if isinstance(event, ExplainResult):
                return event
            print(f"\r{report.progress_text(event):<60}", end="", file=sys.stderr, flush=True)
            shown = True
    finally:
        if shown:
            print(file=sys.stderr)
    raise InternalError("the server ended without a result; look into its log", "NO_RESULT")


def _explain_dir(client: ExplanationClient, arguments: argparse.Namespace) -> None:
    folder: Path = arguments.folder
    if not folder.is_dir():
        raise _InputError(f"there is no folder {str(folder)!r}")
    drawing = {"overlays": arguments.overlays, "colormap": arguments.colormap, "opacity": arguments.opacity}
    bar = ProgressBar(sys.stderr)
    try:
        state = explain_folder(
            client,
            folder,
            folder_output(arguments.form, arguments.out, **drawing),
            streams=arguments.streams,
            progress=lambda state: bar.show(state.before + state.done, state.total, len(state.failed)),
            **_what(client, arguments),
        )
    except (ArgumentsChangedError, ModuleNotFoundError) as error:
        raise _InputError(str(error)) from error
    finally:
        bar.close()
    if arguments.json:
        print(json.dumps(vars(state), indent=2))
    else:
        print(f"{state.done} explained, {state.before} were before, {len(state.failed)} failed: {arguments.out}")
    if state.failed:
        raise _IncompleteError(f"what was wrong with the {len(state.failed)} is in {arguments.out / 'failed.jsonl'}")


def _predict(client: ExplanationClient, arguments: argparse.Namespace) -> None:
    image = _read(arguments.image)
    model = arguments.model or _default_model(client, "answer" if arguments.question else "classify")
    result = client.predict(image, model=model, top_k=arguments.top_k, question=arguments.question)
    print(report.message_json(result.proto) if arguments.json else report.predict_text(result))


def _models(client: ExplanationClient, arguments: argparse.Namespace) -> None:
    if arguments.name:
        model = client.model(arguments.name)
        print(report.message_json(model.proto) if arguments.json else report.model_text(model))
        return
    models = client.models()
    print(report.messages_json([m.proto for m in models]) if arguments.json else report.models_text(models))


def _what(client: ExplanationClient, arguments: argparse.Namespace) -> ExplainArguments:
    """What to explain, and how."""
    targets = _targets(arguments)
    return {
        "model": arguments.model or _default_model(client, _task(arguments)),
        "targets": targets,
        "method": arguments.method,
        "layers": arguments.layer,
        "polarity": arguments.polarity,
        "options": dict(arguments.options),
        "faithfulness": arguments.faithfulness,
    }


def _targets(arguments: argparse.Namespace) -> list[pb.Target]:
    classes: list[pb.Target] = arguments.targets
    if arguments.answer and not arguments.question:
        raise _InputError("--answer needs the --question that it answers")
    others = [caption(arguments.caption or "", per_token=arguments.per_token)] if _captions(arguments) else []
    others += [answer(arguments.question, arguments.answer)] if arguments.question else []
    if len(others) + bool(classes) > 1:
        raise _InputError("give classes, a --caption or a --question: a model has one task")
    return classes or others


def _task(arguments: argparse.Namespace) -> Task:
    if _captions(arguments):
        return "caption"
    return "answer" if arguments.question else "classify"


def _captions(arguments: argparse.Namespace) -> bool:
    return arguments.caption is not None or arguments.per_token


def _default_model(client: ExplanationClient, task: Task) -> str:
    """The first model of a task, those that are ready before those that are not."""
    models: list[Model] = sorted(client.models(task), key=lambda model: not model.ready)
    if not models:
        raise _InputError(f"the server has no model of the task '{task}'; `camserve models` lists what it has")
    return models[0].name


def _read(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise _InputError(f"cannot read the image {path}: {error.strerror or error}") from error


def _overlay_paths(path: Path, explanations: Sequence[Explanation]) -> list[Path]:
    """``overlay.png`` for one explanation; ``overlay-circle.png`` and so on for several."""
    if len(explanations) == 1:
        return [path]
    names = [report.file_name(explanation.target.label) for explanation in explanations]
    if len(set(names)) < len(names):
        names = [f"{place}-{name}" for place, name in enumerate(names)]
    return [path.with_stem(f"{path.stem}-{name}") for name in names]


def _fail(status: int, message: str) -> int:
    print(f"camserve: {message}", file=sys.stderr)
    return status


_COMMANDS: dict[str, Callable[[ExplanationClient, argparse.Namespace], None]] = {
    "explain": _explain,
    "explain-dir": _explain_dir,
    "predict": _predict,
    "models": _models,
}
