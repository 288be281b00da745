"""What commands take from their user and from the server before they ask it anything."""

import sys
from pathlib import Path

from camserve.client import ExplanationClient
from camserve.models import Model
from camserve.requests import Task


class InputError(Exception):
    """What the user gave cannot be used; the message says why and what to do."""


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
