"""``camserve-server check``: what would keep models from being served."""

import argparse
import sys

from gateway.commands.command import Commands, Environment, named_arguments
from gateway.launcher.java import JavaNotFoundError, find_java
from gateway.launcher.selection import select_models
from model_store.archive import is_current
from model_store.recipe import RecipeError


def add(commands: Commands, env: Environment) -> None:
    """Declares the command."""
    text = "look for what would keep models from being served"
    commands.add_parser("check", parents=[named_arguments(env)], help=text).set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Looks, and returns 1 if there is such a thing."""
    faults: list[Exception] = []
    try:
        print(f"java: {find_java()}")
    except JavaNotFoundError as error:
        faults.append(error)
    try:
        for folder, recipe in select_models(options.model_store, options.names).items():
            archive = "archive is current" if is_current(folder, options.model_store) else "archive is yet to be built"
            print(f"{recipe.name}:{recipe.version}: recipe is right, {archive}")
    except RecipeError as error:
        faults.append(error)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0
