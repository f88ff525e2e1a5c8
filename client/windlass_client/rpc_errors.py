"""Turns what grpc raises into a `WindlassError`, reading the `google.rpc.Status` in its trailers."""

from typing import Protocol, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from windlass_client.errors import BY_CODE, FieldViolation, WindlassError

_M = TypeVar("_M", bound=Message)

_STATUS_TRAILER = "grpc-status-details-bin"


class FailedCall(Protocol):
    """What the errors of both of grpc's stacks have in common."""

    def code(self) -> grpc.StatusCode: ...

    def details(self) -> str | None: ...

    def trailing_metadata(self) -> object: ...


def from_rpc_error(error: FailedCall, *, server: str) -> WindlassError:
    """Make the domain exception of a failed call.

    Args:
        error: what a stub raised: `grpc.RpcError` with its `Call` side, or `AioRpcError`.
        server: the address that was called, for the message of a server that is not there.
    """
    status = _status(error.trailing_metadata())
    code = error.code().name
    message = (status.message if status else "") or error.details() or code
    info = _detail(status, error_details_pb2.ErrorInfo())
    if info is None and code == "UNAVAILABLE":
        message = f"cannot reach the server at {server}: {_cause(message)}"
    return _made(code, message, status)


def from_status(status: status_pb2.Status) -> WindlassError:
    """Make the domain exception of a status, such as that of one of several in an answer."""
    return _made(code_pb2.Code.Name(status.code), status.message, status)


def _made(code: str, message: str, status: status_pb2.Status | None) -> WindlassError:
    info = _detail(status, error_details_pb2.ErrorInfo())
    request = _detail(status, error_details_pb2.BadRequest())
    retry = _detail(status, error_details_pb2.RetryInfo())
    return BY_CODE.get(code, WindlassError)(
        message,
        reason=info.reason if info else "",
        metadata=dict(info.metadata) if info else None,
        field_violations=[
            FieldViolation(v.field, v.description)
            for v in (request.field_violations if request else ())
        ],
        retry_after=retry.retry_delay.ToMilliseconds() / 1000 if retry else None,
        code=code,
    )


def _status(trailers: object) -> status_pb2.Status | None:
    """The rich status in trailing metadata; None when there is none or it cannot be read."""
    if trailers is None:
        return None
    for key, value in trailers:  # type: ignore[attr-defined]  # tuple or aio.Metadata: both iterate
        if key == _STATUS_TRAILER:
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def _detail(status: status_pb2.Status | None, into: _M) -> _M | None:
    """The first detail of the type of `into`, decoded into it."""
    for detail in status.details if status else ():
        if detail.Is(into.DESCRIPTOR):
            detail.Unpack(into)
            return into
    return None


def _cause(details: str) -> str:
    """The end of grpc's chained text, where the operating system's own words are."""
    return details.rsplit(": ", 1)[-1] if "failed to connect" in details else details
