"""The scenes captioner, as its recipe names it."""

from model_store.scenes.captioner import build

__all__ = ["build"]
