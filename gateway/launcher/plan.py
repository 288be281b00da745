"""What is to be served, as the recipes of a model store have it."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from gateway.launcher.selection import references, select_served
from gateway.settings import GatewaySettings
from gateway.upstream import ModelRef
from model_store.archive import build_archive, is_current
from model_store.recipe import Recipe

_TIMEOUT_MARGIN_S = 30


@dataclass(frozen=True)
class Plan:
    """The models that one TorchServe is to serve.

    Attributes:
        store: the model store.
        recipes: the recipe of each model's folder in it.
    """

    store: Path
    recipes: Mapping[Path, Recipe]

    @classmethod
    def read(cls, store: Path, names: Collection[str]) -> Self:
        """Reads a store.

        Args:
            store: the model store.
            names: of the models to serve; none: all of the store whose weights are not random.

        Raises:
            RecipeError: the models cannot be served as they are described.
        """
        return cls(store, select_served(store, names))

    @property
    def models(self) -> list[ModelRef]:
        """The models as the gateway names them."""
        return references(self.recipes.values())

    @property
    def workers(self) -> int:
        """How many workers there will be in all."""
        return sum(recipe.worker.count for recipe in self.recipes.values())

    def archives(self, run_dir: Path) -> list[Path]:
        """Builds the archives that are not current: in the store, or all in the run's folder if it cannot be written.

        Raises:
            RecipeError: a model's folder lacks something.
            OSError: a file cannot be written.
        """
        kept = os.access(self.store, os.W_OK) or all(is_current(folder, self.store) for folder in self.recipes)
        archive_dir = self.store if kept else run_dir / "archives"
        return [build_archive(folder, archive_dir) for folder in self.recipes]

    def patient(self, settings: GatewaySettings) -> GatewaySettings:
        """The settings, with a run not given up for lost while its worker runs or restarts.

        That would cost the next run its worker.
        """
        longest = max(each.worker.response_timeout_s + each.worker.startup_timeout_s for each in self.recipes.values())
        return replace(settings, upstream_timeout=max(settings.upstream_timeout, longest + _TIMEOUT_MARGIN_S))

    def __str__(self) -> str:
        return ", ".join(map(str, self.models))
