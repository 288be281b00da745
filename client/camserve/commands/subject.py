"""What is explained, and how: arguments of the commands that explain."""

import argparse
from functools import partial

from camserve.client import ExplanationClient
from camserve.commands import values
from camserve.commands.inputs import InputError, default_model
from camserve.rendering import COLORMAPS, DEFAULT_OPACITY
from camserve.requests import ExplainArguments, Task
from camserve.targets import answer, caption
from camserve.v1 import explanation_pb2 as pb


def add_subject(explain: argparse.ArgumentParser) -> None:
    """Adds targets, method and what there is to say of it."""
    for option, selector, metavar, text in (
        ("--class", "label", "LABEL", "explain the class of this label; may be repeated"),
        ("--index", "index", "N", "explain the class of this index; may be repeated"),
        ("--rank", "rank", "N", "explain the class of this rank in the prediction, 0 the top one; may be repeated"),
    ):
        parse = partial(values.class_selector, selector)
        explain.add_argument(
            option, dest="targets", action="append", default=[], type=parse, metavar=metavar, help=text
        )
    explain.add_argument("--caption", help="explain this caption; an empty one stands for the model's own")
    explain.add_argument(
        "--per-token", action="store_true", help="explain each word of the caption too; --out is a sheet of them all"
    )
    explain.add_argument("--answer", default="", help="explain this answer to --question (default: the model's own)")
    explain.add_argument("--method", default="", help="id of the method, such as grad-cam (default: the model's)")
    explain.add_argument(
        "--layer", action="append", default=[], help="name of a layer (default: the model's); repeatable"
    )
    explain.add_argument(
        "--option",
        dest="options",
        action="append",
        default=[],
        type=values.method_option,
        metavar="NAME=VALUE",
        help="a knob of the method, such as steps=50; budget is in seconds; repeatable",
    )
    explain.add_argument(
        "--polarity", choices=["support", "counter"], default="support", help="what speaks for it, or against it"
    )
    explain.add_argument("--faithfulness", action="store_true", help="also measure how good each map is")


def add_drawing(explain: argparse.ArgumentParser) -> None:
    """Adds how overlays are drawn."""
    explain.add_argument("--colormap", choices=list(COLORMAPS), default="", help="of the overlay (default: by the map)")
    explain.add_argument(
        "--opacity",
        type=values.opacity,
        default=DEFAULT_OPACITY,
        help="of the map over the image, 0 to 1 (default: %(default)g)",
    )


def explain_arguments(arguments: argparse.Namespace) -> ExplainArguments:
    """What is asked for, of the model that was named; see `chosen_model`.

    Raises:
        InputError: the arguments do not fit together.
    """
    return {
        "model": arguments.model,
        "targets": _targets(arguments),
        "method": arguments.method,
        "layers": arguments.layer,
        "polarity": arguments.polarity,
        "options": dict(arguments.options),
        "faithfulness": arguments.faithfulness,
    }


def chosen_model(client: ExplanationClient, arguments: argparse.Namespace) -> str:
    """The model that was named; else the first of the task of what is asked for.

    Raises:
        InputError: the server has none.
    """
    return arguments.model or default_model(client, _task(arguments))


def _targets(arguments: argparse.Namespace) -> list[pb.Target]:
    classes: list[pb.Target] = arguments.targets
    if arguments.answer and not arguments.question:
        raise InputError("--answer needs the --question that it answers")
    others = [caption(arguments.caption or "", per_token=arguments.per_token)] if _captions(arguments) else []
    others += [answer(arguments.question, arguments.answer)] if arguments.question else []
    if len(others) + bool(classes) > 1:
        raise InputError("give classes, a --caption or a --question: a model has one task")
    return classes or others


def _task(arguments: argparse.Namespace) -> Task:
    if _captions(arguments):
        return "caption"
    return "answer" if arguments.question else "classify"


def _captions(arguments: argparse.Namespace) -> bool:
    return arguments.caption is not None or arguments.per_token
