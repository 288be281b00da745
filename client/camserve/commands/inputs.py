"""What commands take from their user and from the server before they ask it anything."""

import argparse
import sys
from pathlib import Path

from camserve.client import ExplanationClient
from camserve.commands.command import completed_by_files
from camserve.models import Model
from camserve.requests import Task


class InputError(Exception):
    """What the user gave cannot be used; the message says why and what to do."""


def image_argument(command: argparse.ArgumentParser) -> None:
    """Adds the image that `read_image` reads."""
    completed_by_files(
        command.add_argument("image", metavar="IMAGE", help="a JPEG, PNG, WebP, GIF or BMP file; - is standard input")
    )


def read_image(path: str) -> bytes:
    """The bytes of an image file; ``-`` is standard input.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the image {path}: {error.strerror or error}") from error


def default_model(client: ExplanationClient, task: Task) -> str:
    """The first model of a task, those that are ready before those that are not.

    Raises:
        InputError: the server has none.
    """
    models: list[Model] = sorted(client.models(task), key=lambda model: not model.ready)
    if not models:
        raise InputError(f"the server has no model of the task '{task}'; `camserve models` lists what it has")
    return models[0].name
