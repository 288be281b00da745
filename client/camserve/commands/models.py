"""``camserve models``: what the server has."""

import argparse

from camserve import report
from camserve.client import ExplanationClient
from camserve.commands.command import Commands, add_command

_EXAMPLES = """\
examples:
  camserve models
  camserve models scenes-classifier      its labels, layers, methods and limits
"""


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Declares the command."""
    text = "list the server's models, or describe one"
    models = add_command(commands, "models", run, parents=[common], text=text, examples=_EXAMPLES)
    models.add_argument("name", nargs="?", metavar="NAME", help="describe this one")


def run(client: ExplanationClient, arguments: argparse.Namespace) -> int:
    """Lists the models, or describes one."""
    if arguments.name:
        model = client.model(arguments.name)
        print(report.message_json(model.proto) if arguments.json else report.model_text(model))
    else:
        models = client.models()
        print(report.messages_json([m.proto for m in models]) if arguments.json else report.models_text(models))
    return 0
