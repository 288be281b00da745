"""TorchServe's side of a handler: it loads the model from the archive's folder and passes packs on as bytes."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from handlers.pack import Servable, answer
from model_store.recipe import load_recipe

PACK = "pack"
"""Name of the one input of a run."""

log = logging.getLogger(__name__)


class WorkerHandler:
    """What TorchServe calls: ``initialize`` once, then ``handle`` for every run. Subclasses name their servable."""

    servable: ClassVar[type[Servable[Any]]]

    def __init__(self) -> None:
        self._servable: Servable[Any] | None = None

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
            self._servable = type(self).servable(folder, device)
        except Exception as error:
            log.exception("the model in %s cannot be loaded", folder)
            raise RuntimeError(f"the model cannot be loaded: {error}") from error

    def handle(self, data: Sequence[dict[str, bytes]], _context: Any) -> list[bytes]:
        """Answers runs; TorchServe's own batches have one."""
        if self._servable is None:
            raise RuntimeError("handle was called before initialize")
        return [answer(self._servable, bytes(row[PACK])) for row in data]
