"""A small classifier with scenes' classes, for audits to run on in no time."""

import torch
from torch import nn

from evaluation.classifier import Classifier
from model_store.scenes.vocabulary import SHAPES

SIDE = 32


def classifier(*, seed: int = 0) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 8, 4, stride=4, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
            nn.Conv2d(8, 12, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(12, len(SHAPES)),
        )
    return Classifier(
        name="tiny 1",
        network=network.eval().requires_grad_(False),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        size=(SIDE, SIDE),
        labels=SHAPES,
        layers=("2",),
        digest="",
    )
