"""The arguments of the ``camserve`` command."""

import argparse
from importlib.metadata import version

from camserve.commands import completion, doctor, explain, explain_dir, models, predict
from camserve.commands.connection import connection_arguments

_EPILOG = """\
exit status: 0 if all went well; 1 if the server is not there, failed or ran out of time, or doctor found a fault; 2 if
the input is at fault: a wrong argument, an unreadable file, an unknown model, class, method or layer; 130 if
interrupted.

environment: CAMSERVE_SERVER is the address of the server where --server does not say; CAMSERVE_TOKEN is your token, for
a server that asks for one.
"""

_EXAMPLES = """\
examples:
  camserve doctor                                          is all there that an explanation needs?
  camserve explain photo.jpg --out overlay.png             what spoke for the prediction
  camserve explain photo.jpg --grid quick --out grid.png   the methods, side by side
  camserve explain-dir photos --out explained              a whole folder
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
    common = connection_arguments()
    common.add_argument("--json", action="store_true", help="print JSON, in the names of camserve.v1")
    on_model = argparse.ArgumentParser(add_help=False, parents=[common])
    on_model.add_argument("--model", default="", help="name of the model (default: the first one of the task)")
    on_model.add_argument("--question", default="", help="the question to a model that answers questions")

    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    explain.add(commands, on_model)
    explain_dir.add(commands, on_model)
    predict.add(commands, on_model)
    models.add(commands, common)
    doctor.add(commands, common)
    completion.add(commands, root)
    return root
