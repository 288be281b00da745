"""The scenes question answerer, as its recipe names it."""

from model_store.scenes.networks.answerer import build

__all__ = ["build"]
