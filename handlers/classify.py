"""TorchServe's handler of task ``classify``."""

from pathlib import Path

import torch

from handlers.classifier import Classifier
from handlers.worker import WorkerHandler


class ClassifyHandler(WorkerHandler):
    """Serves a :class:`~handlers.classifier.Classifier`."""

    @staticmethod
    def load(folder: Path, device: torch.device) -> Classifier:
        """Loads a model's folder."""
        return Classifier(folder, device)
