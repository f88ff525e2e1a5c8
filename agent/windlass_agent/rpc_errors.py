"""What the server's refusals mean for the agent."""

from collections.abc import Iterable

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

_STATUS_TRAILER = "grpc-status-details-bin"
Trailing = Iterable[tuple[str, str | bytes]] | None
_UNREACHABLE = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)
_PASSING = (
    *_UNREACHABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNKNOWN,
)


def reason(error: grpc.aio.AioRpcError) -> str:
    """The word for programs that the server gave; empty when it gave none."""
    return str(_info(error.trailing_metadata()).reason)


def server_nanos(trailing: Trailing) -> int | None:
    """The time at the server, when it refused a token for its times; nanoseconds since 1970."""
    told = _info(trailing).metadata.get("server_time_micros", "")
    return int(told) * 1000 if told.isascii() and told.isdigit() else None


def _info(trailing: Trailing) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    for name, value in trailing or ():
        if name == _STATUS_TRAILER and isinstance(value, bytes):
            for detail in status_pb2.Status.FromString(value).details:
                if detail.Unpack(info):
                    return info
    return info


def is_unreachable(error: grpc.aio.AioRpcError) -> bool:
    """Whether there is no server that answers, for now."""
    return error.code() in _UNREACHABLE and reason(error) in ("", "SERVER_STOPPING")


def is_passing(error: grpc.aio.AioRpcError) -> bool:
    """Whether the same call may well succeed a little later."""
    return error.code() in _PASSING and reason(error) not in ("OBJECT_STORE_FULL", "QUOTA")


def sentence(error: grpc.aio.AioRpcError) -> str:
    """What the server said, with its word for programs."""
    word = reason(error) or error.code().name
    return f"{error.details()} ({word})"
