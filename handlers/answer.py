"""TorchServe's handler of task ``answer``."""

from pathlib import Path

import torch

from handlers.answerer import Answerer
from handlers.chooser import Chooser
from handlers.network import load_language_model
from handlers.worker import WorkerHandler
from model_store.recipe import load_recipe


class AnswerHandler(WorkerHandler):
    """Serves what the network can do: generate answers, or choose among its labels."""

    @staticmethod
    def load(folder: Path, device: torch.device) -> Answerer | Chooser:
        """Loads a model's folder."""
        recipe = load_recipe(folder)
        network, tokenizer = load_language_model(recipe, folder, device)
        kind = Answerer if hasattr(network, "generate") else Chooser
        return kind(recipe, network, tokenizer, device)
