"""Errors cross the wire and come out as they went in."""

from typing import Any

import grpc
import pytest
from google.rpc import status_pb2

from camserve import errors
from camserve.errors import CamserveError, FieldViolation, from_rpc_error, from_status

CLASSES = CamserveError.__subclasses__()


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_survives_its_status(cls: type[CamserveError]) -> None:
    more = (FieldViolation("model", "is unknown"),)
    sent = cls("a sentence", "A_REASON", field="image", violations=more, retry_after=0.25, metadata={"limit": "3"})
    received = from_status(status_pb2.Status.FromString(sent.to_status().SerializeToString()))
    assert type(received) is cls
    assert str(received) == "a sentence"
    assert vars(received) == vars(sent)


def test_each_class_has_its_own_code() -> None:
    assert len(CLASSES) == len({cls.code for cls in CLASSES}) == 9


def test_a_status_without_details_is_named_by_its_code() -> None:
    error = from_status(status_pb2.Status(code=grpc.StatusCode.PERMISSION_DENIED.value[0], message="no"))
    assert type(error) is CamserveError
    assert (error.reason, error.violations, error.retry_after) == ("PERMISSION_DENIED", (), None)


class _RpcError(grpc.RpcError):
    """What a call raises, with trailing metadata that something on the way has touched."""

    def __init__(self, details: bytes) -> None:
        self._details = details

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "try later"

    def trailing_metadata(self) -> Any:
        return (("grpc-status-details-bin", self._details),)


@pytest.mark.parametrize(
    "details",
    [b"\xff\xff garbage", errors.NotFoundError("another", "OTHER").to_status().SerializeToString()],
    ids=["garbage", "contradiction"],
)
def test_details_that_cannot_be_trusted_are_left_aside(details: bytes) -> None:
    error = from_rpc_error(_RpcError(details))
    assert type(error) is errors.UnavailableError
    assert (error.message, error.reason) == ("try later", "UNAVAILABLE")
