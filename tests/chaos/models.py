"""Models with a known pace and two colours that they cannot bear."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from tests.recipes import recipe_data, write_model

PACE = 0.02
"""Seconds that ``steady`` takes for each image."""

RESPONSE_TIMEOUT_S = 5

POISON, HANG = (255, 0, 255), (0, 0, 255)
"""Pictures of this colour alone kill the worker, or keep it busy for ever."""

_CODE = """
import os
import signal
import time

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, pace):
        super().__init__()
        self.pace = pace
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))

    def forward(self, images):
        colours = images.detach().flatten(2)
        plain = colours.amax(2) - colours.amin(2) < 0.01
        for colour, all_plain in zip(colours.mean(2).round().tolist(), plain.all(1).tolist()):
            if all_plain and colour == [2.0, -2.0, 2.0]:
                os.kill(os.getpid(), signal.SIGSEGV)
            if all_plain and colour == [-2.0, -2.0, 2.0]:
                time.sleep(3600)
        time.sleep(self.pace * len(images))
        return self.head(self.trunk(images))


def build():
    return Net(PACE)
"""


def add_model(store: Path, name: str, *, version: str = "1", pace: float = 0.0, code: str = _CODE) -> Path:
    """Adds a model of one worker to a store; returns its folder."""
    data = recipe_data() | {
        "name": name,
        "version": version,
        "weights": {"random": True},
        "worker": {"count": 1, "response_timeout_s": RESPONSE_TIMEOUT_S},
    }
    folder = write_model(store / f"{name}-{version}", data)
    (folder / "model.py").write_text(code.replace("PACE", str(pace)))
    return folder


def picture(seed: int = 0, side: int = 48) -> bytes:
    """A picture of noise, which is good for every model."""
    return _png(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def plain(colour: tuple[int, int, int]) -> bytes:
    """A picture of one colour."""
    return _png(np.full((48, 48, 3), colour, dtype=np.uint8))


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
