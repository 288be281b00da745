"""The arguments of the ``camserve`` command."""

import argparse
import os
from importlib.metadata import version

from camserve.channel import DEFAULT_ADDRESS, DEFAULT_TIMEOUT
from camserve.commands import completion, doctor, explain, models, predict, values
from camserve.commands.command import completed_by_files

_EPILOG = """\
exit status: 0 if all went well; 1 if the server is not there, failed or ran out of time, or doctor found a fault; 2 if
the input is at fault: a wrong argument, an unreadable file, an unknown model, class, method or layer; 130 if
interrupted.

environment: CAMSERVE_SERVER is the address of the server where --server does not say.
"""

_EXAMPLES = """\
examples:
  camserve doctor                                          is all there that an explanation needs?
  camserve explain photo.jpg --out overlay.png             what spoke for the prediction
  camserve explain photo.jpg --grid quick --out grid.png   the methods, side by side
  camserve COMMAND --help                                  more, and examples for each
"""


def parser() -> argparse.ArgumentParser:
    """The command's arguments; ``run`` does the one that was chosen, ``local`` one that needs no server."""
    root = argparse.ArgumentParser(
        "camserve",
        description="Predictions of vision models with the heatmaps that explain them, from a camserve server.",
        epilog=f"{_EXAMPLES}\n{_EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"camserve {version('camserve')}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--server",
        metavar="HOST:PORT",
        default=os.environ.get("CAMSERVE_SERVER", DEFAULT_ADDRESS),
        help="address of the server (default: $CAMSERVE_SERVER, else localhost:50051)",
    )
    common.add_argument("--json", action="store_true", help="print JSON, in the names of camserve.v1")
    common.add_argument(
        "--timeout",
        type=values.seconds,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help="longest wait for each answer (default: %(default)g)",
    )
    on_image = argparse.ArgumentParser(add_help=False, parents=[common])
    completed_by_files(
        on_image.add_argument("image", metavar="IMAGE", help="a JPEG, PNG, WebP, GIF or BMP file; - is standard input")
    )
    on_image.add_argument("--model", default="", help="name of the model (default: the first one of the task)")
    on_image.add_argument("--question", default="", help="the question to a model that answers questions")

    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    explain.add(commands, on_image)
    predict.add(commands, on_image)
    models.add(commands, common)
    doctor.add(commands, common)
    completion.add(commands, root)
    return root
