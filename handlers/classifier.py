"""A classifier that explains itself."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from camserve.v1 import explanation_pb2 as pb
from handlers.explainer import Answer, Explainer
from handlers.faithfulness import class_probabilities
from handlers.job import Job
from handlers.messages import class_predictions
from handlers.network import labels_of, load_network
from handlers.optimise import optimised
from handlers.rows import Explaining, Row
from handlers.targets import class_targets, resolved_class
from model_store.recipe import RecipeError, load_recipe
from saliency import Rank
from saliency.capture import scores_of
from saliency.targets import Target


class Classifier(Explainer[Target]):
    """The servable of task ``classify``."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Loads a model's folder.

        Raises:
            RecipeError: the folder cannot be served; the message says why.
        """
        recipe = load_recipe(folder)
        network = optimised(recipe, folder, load_network(recipe, folder, device), device)
        with torch.no_grad():
            logits = scores_of(network(torch.zeros(1, 3, *recipe.preprocessing.size, device=device)))
        labels = labels_of(recipe, network) or tuple(f"class {i}" for i in range(logits.shape[-1]))
        if logits.shape != (1, len(labels)):
            raise RecipeError(
                f"labels: there are {len(labels)}, but the network gives {list(logits.shape)} for one image"
            )
        self._index_of = {label.casefold(): index for index, label in enumerate(labels)}
        super().__init__(recipe, network, device, targets=[Rank(0)], labels=labels, probabilities=class_probabilities)

    def asked(self, request: pb.ExplainRequest) -> list[Target]:
        """The classes; the top one if none is named."""
        return class_targets(request, self._index_of)

    def predict(self, jobs: Sequence[Job[Target]]) -> list[list[pb.Prediction]]:
        """The best classes of each image."""
        logits = self.runner.outputs([Row(job.picture.tensor) for job in jobs])
        return [class_predictions(own, self.labels, job.top) for job, own in zip(jobs, logits, strict=True)]

    def explain(self, how: Explaining, jobs: Sequence[Job[Target]]) -> Iterable[Answer]:
        """One forward for all jobs: predictions come of the same."""
        rows = [Row(job.picture.tensor, job.asked, counter=job.counter, places=range(len(job.asked))) for job in jobs]
        for job, explained in zip(jobs, self.explained(how, rows), strict=True):
            probabilities = torch.softmax(explained.output, 0)
            explanations = [
                self.explanation(explained, place, resolved_class(target, probabilities, self.labels), job.picture)
                for place, target in enumerate(explained.targets)
            ]
            yield class_predictions(explained.output, self.labels, job.top), explanations
