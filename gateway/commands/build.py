"""``camserve-server build``: archives for TorchServe."""

import argparse

from gateway.commands.command import Commands, Environment, named_arguments
from gateway.launcher.selection import select_models
from model_store.archive import build_archive


def add(commands: Commands, env: Environment) -> None:
    """Declares the command."""
    build = commands.add_parser(
        "build", parents=[named_arguments(env)], help="pack models into archives for TorchServe"
    )
    build.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Builds the archives, and prints where they are."""
    for folder in select_models(options.model_store, options.names):
        print(build_archive(folder, options.model_store))
    return 0
