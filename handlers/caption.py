"""TorchServe's handler of task ``caption``."""

from pathlib import Path

import torch

from handlers.captioner import Captioner
from handlers.matcher import Matcher
from handlers.network import load_language_model
from handlers.worker import WorkerHandler
from model_store.recipe import load_recipe


class CaptionHandler(WorkerHandler):
    """Serves what the network can do: generate captions, or compare them with images."""

    @staticmethod
    def load(folder: Path, device: torch.device) -> Captioner | Matcher:
        """Loads a model's folder."""
        recipe = load_recipe(folder)
        network, tokenizer = load_language_model(recipe, folder, device)
        kind = Captioner if hasattr(network, "generate") else Matcher
        return kind(recipe, network, tokenizer, device)
