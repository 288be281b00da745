"""The arguments of the ``camserve`` command."""

import argparse
import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from camserve.channel import DEFAULT_ADDRESS, DEFAULT_TIMEOUT
from camserve.folder_output import FORMS
from camserve.rendering import COLORMAPS, DEFAULT_OPACITY
from camserve.targets import class_target
from camserve.v1 import explanation_pb2 as pb

_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

_EPILOG = """\
exit status: 0 if all went well; 1 if the server is not there, failed or ran out of time; 2 if the input is at fault:
a wrong argument, an unreadable file, an unknown model, class, method or layer; 130 if interrupted.

environment: CAMSERVE_SERVER is the address of the server where --server does not say; CAMSERVE_TOKEN is your token, for
a server that asks for one.
"""

_EXAMPLES = """\
examples:
  camserve models
  camserve predict photo.jpg
  camserve explain photo.jpg --out overlay.png
  camserve explain photo.jpg --method opti-cam --option steps=200 --progress --out overlay.png
  camserve explain photo.jpg --class circle --class star --out overlay.png
      writes overlay-circle.png and overlay-star.png
  camserve explain photo.jpg --method score-cam --faithfulness
  camserve explain photo.jpg --caption "a small red circle" --per-token --out words.png
  camserve explain photo.jpg --question "what colour is the circle?" --answer red --out overlay.png
  camserve explain-dir photos --out explained --method layer-cam
  camserve predict photo.jpg --model scenes-captioner
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments; ``command`` names the one that was chosen."""
    root = argparse.ArgumentParser(
        "camserve",
        description="Predictions of vision models with the heatmaps that explain them, from a camserve server.",
        epilog=f"{_EXAMPLES}\n{_EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--server",
        metavar="HOST:PORT",
        default=os.environ.get("CAMSERVE_SERVER", DEFAULT_ADDRESS),
        help="address of the server (default: $CAMSERVE_SERVER, else localhost:50051)",
    )
    common.add_argument("--tls", action="store_true", help="encrypt, and trust the roots that gRPC knows")
    common.add_argument("--ca", metavar="FILE", help="encrypt, and trust the roots in this PEM file")
    common.add_argument("--certificate", metavar="FILE", help="PEM file with your own certificate, if the server asks")
    common.add_argument("--key", metavar="FILE", help="PEM file with its private key")
    common.add_argument("--json", action="store_true", help="print JSON, in the names of camserve.v1")
    common.add_argument(
        "--timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help="longest wait for each answer (default: %(default)g)",
    )
    on_image = argparse.ArgumentParser(add_help=False, parents=[common])
    on_image.add_argument("image", metavar="IMAGE", help="a JPEG, PNG, WebP, GIF or BMP file; - is standard input")
    on_image.add_argument("--model", default="", help="name of the model (default: the first one of the task)")
    on_image.add_argument("--question", default="", help="the question to a model that answers questions")

    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    explain = commands.add_parser(
        "explain",
        parents=[on_image],
        help="predict, and draw what in the image spoke for a target",
        description="Predicts, and shows what in the image spoke for a target; without one, for the prediction.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_what(explain)
    _add_drawing(explain)
    explain.add_argument(
        "--out",
        type=_picture_path,
        metavar="PATH",
        help="write the overlay here; PATH-LABEL for several",
    )
    explain.add_argument(
        "--progress", action="store_true", help="show on standard error how far a method of many steps is"
    )
    folder = commands.add_parser(
        "explain-dir",
        parents=[common],
        help="explain all images of a folder",
        description="Explains all images of a folder and of those in it, and goes on where an earlier run ended. "
        "--timeout is not used: a stream has no deadline.",
    )
    folder.add_argument("folder", metavar="FOLDER", type=Path, help="where the images are")
    folder.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="where their explanations go")
    folder.add_argument(
        "--form", choices=FORMS, default="npz", help="a file for each image, or tables (default: %(default)s)"
    )
    folder.add_argument("--no-overlays", dest="overlays", action="store_false", help="maps alone, no pictures")
    folder.add_argument(
        "--streams",
        type=_streams,
        default=1,
        metavar="N",
        help="streams at a time; with replicas, as many (default: 1)",
    )
    folder.add_argument("--model", default="", help="name of the model (default: the first one of the task)")
    folder.add_argument("--question", default="", help="the question to a model that answers questions")
    _add_what(folder)
    _add_drawing(folder)
    predict = commands.add_parser("predict", parents=[on_image], help="predict")
    predict.add_argument("--top-k", type=int, metavar="K", help="how many predictions, 1 to 100 (default: 5)")
    models = commands.add_parser("models", parents=[common], help="list the server's models, or describe one")
    models.add_argument("name", nargs="?", metavar="NAME", help="describe this one")
    return root


def _add_what(explain: argparse.ArgumentParser) -> None:
    """What is explained, and how."""
    for option, selector, metavar, text in (
        ("--class", "label", "LABEL", "explain the class of this label; may be repeated"),
        ("--index", "index", "N", "explain the class of this index; may be repeated"),
        ("--rank", "rank", "N", "explain the class of this rank in the prediction, 0 the top one; may be repeated"),
    ):
        parse = partial(_class_target, selector)
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
        type=_method_option,
        metavar="NAME=VALUE",
        help="a knob of the method, such as steps=50; budget is in seconds; repeatable",
    )
    explain.add_argument(
        "--polarity",
        choices=["support", "counter"],
        default="support",
        help="what speaks for it, or against it",
    )
    explain.add_argument("--faithfulness", action="store_true", help="also measure how good each map is")


def _add_drawing(explain: argparse.ArgumentParser) -> None:
    """How overlays are drawn."""
    explain.add_argument("--colormap", choices=list(COLORMAPS), default="", help="of the overlay (default: by the map)")
    explain.add_argument(
        "--opacity",
        type=_opacity,
        default=DEFAULT_OPACITY,
        help="of the map over the image, 0 to 1 (default: %(default)g)",
    )


def _class_target(selector: str, text: str) -> pb.Target:
    if selector == "label":
        return class_target(label=text)
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return class_target(index=int(text)) if selector == "index" else class_target(rank=int(text))


def _method_option(text: str) -> tuple[str, int | float | str]:
    name, equals, value = text.partition("=")
    field = pb.MethodOptions.DESCRIPTOR.fields_by_name.get(name)
    if field is None or not equals:
        known = ", ".join(pb.MethodOptions.DESCRIPTOR.fields_by_name)
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE with a name of {known}; got {text!r}")
    if field.cpp_type == field.CPPTYPE_STRING:
        return name, value
    whole = field.cpp_type in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64)
    number = _number(value, f"{name} to be {'a whole number from 0' if whole else 'a number'}", math.isfinite)
    if whole and (number < 0 or number != int(number)):
        raise argparse.ArgumentTypeError(f"expected {name} to be a whole number from 0, got {value!r}")
    return name, int(number) if whole else number


def _streams(text: str) -> int:
    return int(_number(text, "a whole number from 1 to 64", lambda value: 1 <= value <= 64 and value == int(value)))


def _seconds(text: str) -> float:
    return _number(text, "seconds above 0", lambda value: value > 0)


def _opacity(text: str) -> float:
    return _number(text, "a number from 0 to 1", lambda value: 0 <= value <= 1)


def _number(text: str, expected: str, fits: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not fits(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value


def _picture_path(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in _PICTURE_SUFFIXES:
        raise argparse.ArgumentTypeError(f"expected a file name that ends in {', '.join(_PICTURE_SUFFIXES)}: {text!r}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r}; make it first")
    return path
