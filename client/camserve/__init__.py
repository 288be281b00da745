"""Client of camserve: predictions of vision models with the heatmaps that explain them, over gRPC."""

from camserve.aio import AsyncExplanationClient
from camserve.client import ExplanationClient
from camserve.errors import CamserveError
from camserve.requests import rendering_request
from camserve.targets import answer, caption, class_target

__all__ = [
    "AsyncExplanationClient",
    "CamserveError",
    "ExplanationClient",
    "answer",
    "caption",
    "class_target",
    "rendering_request",
]
