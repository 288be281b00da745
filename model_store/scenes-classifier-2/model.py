"""The scenes classifier, whose versions are one network with other weights."""

from model_store.scenes.networks.classifier import build

__all__ = ["build"]
