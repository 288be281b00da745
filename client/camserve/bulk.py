"""Many images over one stream."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Unpack

from camserve.errors import CamserveError, from_status
from camserve.requests import ExplainArguments, explain_request
from camserve.results import ExplainResult
from camserve.source import ImageSource, encode
from camserve.v1 import explanation_pb2 as pb


def stream_item(id: str, image: ImageSource, **arguments: Unpack[ExplainArguments]) -> pb.ExplainStreamRequest:  # noqa: A002
    """An item for ``explain_stream``.

    Args:
        id: your id of the item, unique within the stream, at most 128 printable ASCII characters.
        image: as for ``ExplanationClient.explain``.
        **arguments: those of ``ExplanationClient.explain``.

    Raises:
        OSError: the image cannot be read.
        TypeError, ValueError: an argument is not of the kinds that ``explain`` takes.
    """
    return pb.ExplainStreamRequest(id=id, request=explain_request(encode(image), **arguments))


@dataclass(frozen=True)
class StreamResult:
    """What came of an item.

    Attributes:
        id: the item's.
        outcome: its result, or what went wrong with it alone.
    """

    id: str
    outcome: ExplainResult | CamserveError

    @property
    def result(self) -> ExplainResult:
        """The result.

        Raises:
            CamserveError: there is none.
        """
        if isinstance(self.outcome, CamserveError):
            raise self.outcome
        return self.outcome


class Bulk:
    """What a client remembers of a stream: the images of items in hand.

    Attributes:
        failure: what the caller's own iterable raised. What it gave before is still answered.
    """

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self._images: dict[str, bytes] = {}

    def requests(self, items: Iterable[pb.ExplainStreamRequest]) -> Iterator[pb.ExplainStreamRequest]:
        """Items as they are sent."""
        try:
            for item in items:
                yield self._sent(item)
        except Exception as error:
            self.failure = error

    async def async_requests(
        self, items: Iterable[pb.ExplainStreamRequest] | AsyncIterable[pb.ExplainStreamRequest]
    ) -> AsyncIterator[pb.ExplainStreamRequest]:
        """Items of either kind of iterable as they are sent."""
        try:
            if isinstance(items, AsyncIterable):
                async for item in items:
                    yield self._sent(item)
            else:
                for item in items:
                    yield self._sent(item)
        except Exception as error:
            self.failure = error

    def result(self, response: pb.ExplainStreamResponse) -> StreamResult:
        """What a response says."""
        image = self._images.pop(response.id, b"")
        if response.WhichOneof("result") == "error":
            return StreamResult(response.id, from_status(response.error))
        return StreamResult(response.id, ExplainResult.from_proto(response.response, image))

    def _sent(self, item: pb.ExplainStreamRequest) -> pb.ExplainStreamRequest:
        if item.id in self._images:
            raise ValueError(f"id: {item.id!r} is that of an item in hand; give each item one of its own")
        self._images[item.id] = item.request.image
        return item
