"""How many batch norms a model computes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor


class Norms:
    """Counts the batch norms that PyTorch computes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._compute = torch.batch_norm
        monkeypatch.setattr(torch, "batch_norm", self._counted)

    def _counted(self, *args: Any) -> Tensor:
        self.count += 1
        return self._compute(*args)

    def of(self, run: Callable[[], Any]) -> int:
        """How many a run takes."""
        before = self.count
        run()
        return self.count - before
