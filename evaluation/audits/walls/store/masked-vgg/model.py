"""The network that is blind to the lower strip of scenes."""

from evaluation.audits.walls.network import build

__all__ = ["build"]
