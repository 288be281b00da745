"""TorchServe's handler of task ``classify``."""

from handlers.classifier import Classifier
from handlers.worker import WorkerHandler


class ClassifyHandler(WorkerHandler):
    """Serves a :class:`~handlers.classifier.Classifier`."""

    servable = Classifier
