"""A model that reads nothing."""

from collections.abc import Sequence
from typing import Any

from camserve.errors import InvalidArgumentError
from camserve.v1 import explanation_pb2 as pb
from camserve.worker.v1 import worker_pb2 as wire
from handlers.pack import Servable


class Picky(Servable[Any]):
    """Refuses every item, so that only what is around it can fail."""

    def describe(self) -> pb.Model:
        return pb.Model(name="picky")

    def read(self, item: wire.Item, arrival: float) -> Any:
        raise InvalidArgumentError("image is not to be read", "IMAGE_UNDECODABLE", field="image")

    def run(self, jobs: Sequence[Any], reporter: object = None) -> list[wire.ItemResult]:
        raise AssertionError("there is nothing to run")
