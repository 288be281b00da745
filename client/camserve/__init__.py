"""Client of camserve: predictions of vision models with the heatmaps that explain them, over gRPC."""

from camserve.aio import AsyncExplanationClient
from camserve.bulk import StreamResult, stream_item
from camserve.client import ExplanationClient
from camserve.comparison import comparison_sheet
from camserve.credentials import tls_credentials
from camserve.errors import CamserveError
from camserve.progress import Progress
from camserve.requests import rendering_request
from camserve.targets import answer, caption, class_target

__all__ = [
    "AsyncExplanationClient",
    "CamserveError",
    "ExplanationClient",
    "Progress",
    "StreamResult",
    "answer",
    "caption",
    "class_target",
    "comparison_sheet",
    "rendering_request",
    "stream_item",
    "tls_credentials",
]
