"""The scenes captioner, as its recipe names it."""

from model_store.scenes.networks.captioner import build

__all__ = ["build"]
