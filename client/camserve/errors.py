"""Errors of camserve, one class per gRPC status code, convertible to and from ``google.rpc.Status``.

The server raises them, the wire carries them with ``ErrorInfo``, ``BadRequest`` and ``RetryInfo`` details, and the
client raises them again with nothing lost.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

_Detail = TypeVar("_Detail", error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)

DOMAIN = "camserve"
"""Domain of every ``ErrorInfo``."""


@dataclass(frozen=True)
class FieldViolation:
    """One field of a request and what is wrong with it.

    Attributes:
        field: path of the field, such as ``image`` or ``targets[0].class_target.label``.
        description: what is wrong and how to mend it.
    """

    field: str
    description: str


class CamserveError(Exception):
    """Base of all errors of camserve.

    Attributes:
        code: the gRPC status code.
        reason: stable identifier in UPPER_SNAKE_CASE, for programs and dashboards.
        message: a sentence for people, naming the field and the remedy.
        violations: the fields at fault.
        retry_after: seconds after which a retry may succeed, or None if a retry does not help.
        metadata: further facts, such as the bound that was broken.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        reason: str,
        *,
        field: str | None = None,
        violations: tuple[FieldViolation, ...] = (),
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Takes ``field`` as short for one violation whose description is the message."""
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.violations = (FieldViolation(field, message), *violations) if field else violations
        self.retry_after = retry_after
        self.metadata = dict(metadata or {})

    def to_status(self) -> status_pb2.Status:
        """Packs the error and its details."""
        details: list[error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo] = [
            error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.metadata)
        ]
        if self.violations:
            details.append(
                error_details_pb2.BadRequest(
                    field_violations=[
                        error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description)
                        for v in self.violations
                    ]
                )
            )
        if self.retry_after is not None:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromMilliseconds(round(self.retry_after * 1000))
            details.append(retry)
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        for detail in details:
            status.details.add().Pack(detail)
        return status


class InvalidArgumentError(CamserveError):
    """A field of the request is wrong, whatever the server's state."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFoundError(CamserveError):
    """The model, version or method does not exist here."""

    code = grpc.StatusCode.NOT_FOUND


class FailedPreconditionError(CamserveError):
    """The method exists and does not work on this model."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class ResourceExhaustedError(CamserveError):
    """The queue is full, the message too large, or the caller has used up what it may."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class DeadlineExceededError(CamserveError):
    """The deadline passed, or cannot be met."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class UnavailableError(CamserveError):
    """Nothing can answer now: no server there, or no worker ready. Safe to retry."""

    code = grpc.StatusCode.UNAVAILABLE


class UnauthenticatedError(CamserveError):
    """The call has no token that the server knows."""

    code = grpc.StatusCode.UNAUTHENTICATED


class UnimplementedError(CamserveError):
    """This server cannot do it yet."""

    code = grpc.StatusCode.UNIMPLEMENTED


class InternalError(CamserveError):
    """A fault of the server."""

    code = grpc.StatusCode.INTERNAL


_CLASSES: dict[int, type[CamserveError]] = {
    cls.code.value[0]: cls
    for cls in (
        InvalidArgumentError,
        NotFoundError,
        FailedPreconditionError,
        ResourceExhaustedError,
        DeadlineExceededError,
        UnauthenticatedError,
        UnavailableError,
        UnimplementedError,
        InternalError,
    )
}


def from_status(status: status_pb2.Status) -> CamserveError:
    """Unpacks an error; a status without ``ErrorInfo`` gets its code's name as the reason."""
    cls = _CLASSES.get(status.code, CamserveError)
    info = _detail(status.details, error_details_pb2.ErrorInfo())
    bad = _detail(status.details, error_details_pb2.BadRequest())
    retry = _detail(status.details, error_details_pb2.RetryInfo())
    return cls(
        status.message,
        info.reason if info else code_pb2.Code.Name(status.code),
        violations=tuple(FieldViolation(v.field, v.description) for v in bad.field_violations) if bad else (),
        retry_after=retry.retry_delay.ToMilliseconds() / 1000 if retry else None,
        metadata=info.metadata if info else None,
    )


def from_rpc_error(error: grpc.RpcError) -> CamserveError:
    """Turns what a gRPC call raised, sync or asyncio, into an error of camserve."""
    status = None
    if hasattr(error, "trailing_metadata"):
        with suppress(ValueError, DecodeError):  # details that a proxy garbled or that contradict the code
            status = rpc_status.from_call(error)
    if status is None:
        code = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
        details = error.details() if hasattr(error, "details") else str(error)
        status = status_pb2.Status(code=code.value[0], message=details or "")
    return from_status(status)


def _detail(details: Iterable[Any], into: _Detail) -> _Detail | None:
    return next((into for detail in details if detail.Unpack(into)), None)
