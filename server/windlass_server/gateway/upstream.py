"""The gateway's way to any gRPC server: a channel that carries serialized messages as they are."""

# grpc's classes are generic for the type checker alone.
from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from grpc import aio

from windlass_server.gateway.dispatch import OutgoingCall
from windlass_server.gateway.upstream_failure import UpstreamFailures
from windlass_server.gateway.upstream_metadata import add_answered, to_send

# Largest message that an upstream may answer.
MAX_RESPONSE_BYTES = 64 << 20

_OPTIONS: tuple[tuple[str, int], ...] = (
    # How large a request may be is decided before, where the answer to it is 413.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    ("grpc.max_metadata_size", 64 << 10),
    ("grpc.enable_http_proxy", 0),  # a proxy in the environment is for the web
    # The rarest pings that no server takes for abuse: by default they are to be five minutes apart.
    # A peer that does not acknowledge what was sent is found dead after the timeout all the same.
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # which is also how long a connect may take
    ("grpc.max_reconnect_backoff_ms", 5_000),
)

logger = logging.getLogger(__name__)


class UpstreamDispatcher:
    """Answers the gateway's calls by calling a gRPC server; to be made in the running loop.

    While the server cannot be reached, calls fail at once with UNAVAILABLE, and the channel goes on
    trying to connect.

    Args:
        target: gRPC's name of the server, such as `host:port`, `dns:///name:port` or `unix:/path`.
        credentials: of TLS; None for a connection in plain text.
        domain: domain of the `ErrorInfo` in errors that the upstream gives no details of.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        domain: str = "windlass",
    ) -> None:
        self._channel = (
            aio.insecure_channel(target, options=_OPTIONS)
            if credentials is None
            else aio.secure_channel(target, credentials, options=_OPTIONS)
        )
        self._failures = UpstreamFailures(target, domain, self._is_connected)
        self._methods: dict[str, Any] = {}

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        await self._channel.close()

    async def unary(self, call: OutgoingCall, request: bytes) -> bytes:
        """Answer a unary call; raises `RpcFailure`."""
        start = self._method(call.method, self._channel.unary_unary)
        rpc = start(request, timeout=call.timeout, metadata=to_send(call))
        with self._failures.of(call, unary=True):
            answer: bytes = await rpc
        await _take_metadata(call, rpc)
        return answer

    async def stream(self, call: OutgoingCall, request: bytes) -> AsyncIterator[bytes]:
        """Answer a server-streaming call; raises `RpcFailure`."""
        start = self._method(call.method, self._channel.unary_stream)
        rpc = start(request, timeout=call.timeout, metadata=to_send(call))
        try:
            with self._failures.of(call):
                add_answered(call.response_metadata, await rpc.initial_metadata())
                async for answer in rpc:
                    yield answer
                add_answered(call.trailing_metadata, await rpc.trailing_metadata())
        finally:
            rpc.cancel()

    async def client_stream(self, call: OutgoingCall, requests: AsyncIterator[bytes]) -> bytes:
        """Answer a client-streaming call; raises `RpcFailure`, or what `requests` raised."""
        start = self._method(call.method, self._channel.stream_unary)
        rpc = start(timeout=call.timeout, metadata=to_send(call))
        async with _Feed(rpc, requests):
            with self._failures.of(call, unary=True):
                answer: bytes = await rpc
            await _take_metadata(call, rpc)
        return answer

    async def bidi_stream(
        self, call: OutgoingCall, requests: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Answer a stream with a stream; raises `RpcFailure`, or what `requests` raised."""
        start = self._method(call.method, self._channel.stream_stream)
        rpc = start(timeout=call.timeout, metadata=to_send(call))
        async with _Feed(rpc, requests):
            with self._failures.of(call):
                add_answered(call.response_metadata, await rpc.initial_metadata())
                async for answer in rpc:
                    yield answer
                add_answered(call.trailing_metadata, await rpc.trailing_metadata())

    def _is_connected(self) -> bool:
        return self._channel.get_state() is grpc.ChannelConnectivity.READY

    def _method(self, name: str, make: Callable[[str], Any]) -> Any:
        """What starts a call of the method; made once, as it takes longer than to start a call."""
        method = self._methods.get(name)
        if method is None:
            method = self._methods[name] = make(name)
        return method


async def _take_metadata(call: OutgoingCall, rpc: Any) -> None:
    add_answered(call.response_metadata, await rpc.initial_metadata())
    add_answered(call.response_metadata, await rpc.trailing_metadata())


class _Feed:
    """Sends a client's stream into a call while the call goes on; ends both together.

    When the stream fails, the call is cancelled, and leaving raises why the stream failed.
    """

    def __init__(self, rpc: Any, requests: AsyncIterator[bytes]) -> None:
        self._rpc = rpc
        self._requests = requests
        self._failed: Exception | None = None
        self._sending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._sending = asyncio.create_task(self._send())

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        assert self._sending is not None
        self._rpc.cancel()
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)
        close = getattr(self._requests, "aclose", None)
        if close is not None:
            await close()
        if self._failed is not None and isinstance(error, asyncio.CancelledError):
            raise self._failed from None

    async def _send(self) -> None:
        try:
            async for request in self._requests:
                with contextlib.suppress(aio.AioRpcError, asyncio.InvalidStateError):
                    await self._rpc.write(request)
                if self._rpc.done():
                    return  # however it ended, its own status says so
            await self._rpc.done_writing()
        except Exception as error:
            self._failed = error
            self._rpc.cancel()
