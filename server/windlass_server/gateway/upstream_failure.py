"""Calls of an upstream that failed, as the gateway's failures: always with a `google.rpc.Status`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

from windlass_server.gateway.dispatch import OutgoingCall, RpcFailure
from windlass_server.gateway.upstream_metadata import add_answered

_DETAILS = "grpc-status-details-bin"
# gRPC's own words when an answer exceeds the channel's limit, which it reports as if the caller had
# asked too often.
_ANSWER_TOO_LARGE = "Received message larger than max"
_RETRY_SECONDS = 1

logger = logging.getLogger(__name__)


class UpstreamFailures:
    """Turns gRPC's errors into failures and logs when the upstream comes and goes.

    Args:
        target: the upstream, for the log.
        domain: domain of the `ErrorInfo` in statuses that come without details.
        is_connected: whether there is a connection. gRPC does not say which statuses it made up; an
            UNAVAILABLE while there is no connection is one of those.
    """

    def __init__(self, target: str, domain: str, is_connected: Callable[[], bool]) -> None:
        self._target = target
        self._domain = domain
        self._is_connected = is_connected
        self._reachable = True

    @contextlib.contextmanager
    def of(self, call: OutgoingCall, *, unary: bool = False) -> Iterator[None]:
        """Within, an error of gRPC's becomes an `RpcFailure`.

        Args:
            call: gets the metadata that came with the error.
            unary: whether that includes the initial metadata, which those who read a stream have
                taken before.
        """
        try:
            yield
        except aio.AioRpcError as error:
            add_answered(call.response_metadata, error.initial_metadata() if unary else None)
            add_answered(call.response_metadata, error.trailing_metadata())
            status = _sent_status(error) or self._made(error)
            raise RpcFailure(status.code, status.message, status.SerializeToString()) from None
        if not self._reachable:
            self._reachable = True
            logger.info("the upstream %s answers again", self._target)

    def _made(self, error: aio.AioRpcError) -> status_pb2.Status:
        """A status for an error that came without one."""
        code, text = error.code(), error.details() or ""
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            text = "the call took too long"
        elif code is grpc.StatusCode.UNAVAILABLE and not self._is_connected():
            return self._unreachable(text)
        elif _ANSWER_TOO_LARGE in text:
            logger.error("an answer of %s is too large: %s", self._target, text)
            text = "the upstream server's answer is too large"
            return self._status(grpc.StatusCode.INTERNAL, text, "UPSTREAM_ANSWER_TOO_LARGE")
        return self._status(code, text, code.name)

    def _unreachable(self, why: str) -> status_pb2.Status:
        if self._reachable:
            self._reachable = False
            # Here and not in the answer: it names addresses.
            logger.warning("the upstream %s cannot be reached: %s", self._target, why)
        message = "the upstream server cannot be reached"
        retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=_RETRY_SECONDS))
        return self._status(grpc.StatusCode.UNAVAILABLE, message, "UPSTREAM_UNAVAILABLE", retry)

    def _status(
        self, code: grpc.StatusCode, message: str, reason: str, *more: Message
    ) -> status_pb2.Status:
        status = status_pb2.Status(code=code.value[0], message=message)
        info = error_details_pb2.ErrorInfo(reason=reason, domain=self._domain)
        for detail in (info, *more):
            status.details.add().Pack(detail)
        return status


def _sent_status(error: aio.AioRpcError) -> status_pb2.Status | None:
    """The status that came with the error; None when it is none, or of another code."""
    for name, value in error.trailing_metadata() or ():
        if name == _DETAILS and isinstance(value, bytes):
            try:
                status = status_pb2.Status.FromString(value)
            except DecodeError:
                return None
            return status if status.code == error.code().value[0] else None
    return None
