"""TorchServe's side of a handler: it loads the model from the archive's folder and passes packs on as bytes."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ts.handler_utils.utils import send_intermediate_predict_response

from handlers.pack import Servable, answer
from handlers.tracing import Spans
from model_store.recipe import load_recipe

PACK = "pack"
"""Name of the one input of a run."""

log = logging.getLogger(__name__)


class WorkerHandler(ABC):
    """What TorchServe calls: ``initialize`` once, then ``handle`` for every run. Subclasses load their servable."""

    def __init__(self) -> None:
        self._servable: Servable[Any] | None = None
        self._spans = Spans(None)

    @staticmethod
    @abstractmethod
    def load(folder: Path, device: torch.device) -> Servable[Any]:
        """Loads a model's folder.

        Raises:
            RecipeError: it cannot be served; the message says why.
        """

    def initialize(self, context: Any) -> None:
        """Loads the model.

        Raises:
            RuntimeError: whatever went wrong; TorchServe reports this kind and retries others for minutes.
        """
        logging.getLogger().setLevel(logging.WARNING)  # a log line per run costs more than a small model
        folder = Path(context.system_properties["model_dir"])
        gpu = context.system_properties.get("gpu_id")
        device = torch.device(f"cuda:{gpu}" if gpu is not None and torch.cuda.is_available() else "cpu")
        try:
            threads = load_recipe(folder).worker.threads
            if threads:
                torch.set_num_threads(threads)
            self._spans = Spans.of_environment()
            self._servable = self.load(folder, device)
        except Exception as error:
            log.exception("the model in %s cannot be loaded", folder)
            raise RuntimeError(f"the model cannot be loaded: {error}") from error

    def handle(self, data: Sequence[dict[str, bytes]], context: Any) -> list[bytes]:
        """Answers a run: TorchServe's own batches have one."""
        if self._servable is None:
            raise RuntimeError("handle was called before initialize")

        def send(part: bytes) -> None:
            send_intermediate_predict_response([part], context.request_ids, "Prediction success", 200, context)

        # That what is returned is the end. TorchServe says so itself if a part went before it; in a stream without it
        # needs to be told, or its frontend fails and restarts the worker.
        context.set_response_header(0, "ts_stream_next", "false")
        (row,) = data
        return [answer(self._servable, bytes(row[PACK]), send, self._spans)]
