"""The two transports: one channel each, a deadline on every unary call, retries where they are safe."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import grpc

from windlass_client.calls import Call, RequestT, ResponseT, Unary
from windlass_client.errors import InvalidArgument
from windlass_client.retries import Deadline, RetryPolicy
from windlass_client.rpc_errors import FailedCall, from_rpc_error
from windlass_client.settings import Settings, Target

DEFAULT_TIMEOUT = 30.0

Options = list[tuple[str, int | str]]

# A server that restarts should be found again in well under a second, and a connection that died
# silently should be noticed while a log is followed. Pings go out only while a call is open.
OPTIONS: Options = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.primary_user_agent", "windlass-client"),
]


def options(target: Target) -> Options:
    """The options of a channel. A server on this machine is never asked through a proxy for the web."""
    return [*OPTIONS, ("grpc.enable_http_proxy", 0)] if target.local else OPTIONS


@dataclass(frozen=True)
class Manner:
    """How calls are made.

    Attributes:
        timeout: seconds that a unary call may take, all its tries together.
        retries: when and how often idempotent calls are tried again.
        clock: monotonic seconds.
    """

    timeout: float = DEFAULT_TIMEOUT
    retries: RetryPolicy = RetryPolicy()  # noqa: RUF009 - frozen
    clock: Callable[[], float] = time.monotonic

    def deadline(self) -> Deadline:
        """The deadline of a call that starts now."""
        return Deadline.after(self.timeout, self.clock)


class _Wire:
    """What both transports share: settings, the metadata of a call, bound methods."""

    def __init__(self, settings: Settings, channel: Any) -> None:
        self.settings = settings
        self.channel = channel
        self.metadata = (("authorization", f"Bearer {settings.token}"),) if settings.token else ()
        self._bound: dict[Unary[Any, Any], Callable[..., Any]] = {}

    def bound(self, method: Unary[Any, Any]) -> Callable[..., Any]:
        """The callable of a method on this channel, made once."""
        if method not in self._bound:
            self._bound[method] = method.bind(self.channel)
        return self._bound[method]

    @contextmanager
    def domain_errors(self) -> Iterator[None]:
        """Raise WindlassError for whatever grpc raises inside."""
        try:
            yield
        except grpc.RpcError as error:
            failed = cast("FailedCall", error)
            raise from_rpc_error(failed, server=self.settings.server) from None


def _credentials(settings: Settings) -> grpc.ChannelCredentials:
    if settings.ca_file is None:
        return grpc.ssl_channel_credentials()
    try:
        return grpc.ssl_channel_credentials(settings.ca_file.read_bytes())
    except OSError as error:
        raise InvalidArgument(
            f"cannot read the CA file {settings.ca_file} (WINDLASS_CA_FILE): {error.strerror}",
            reason="BAD_CA_FILE",
        ) from error


class BlockingTransport:
    """Sends calls over a blocking channel; may be used from several threads."""

    def __init__(self, wire: _Wire, manner: Manner) -> None:
        self._wire = wire
        self.manner = manner

    @classmethod
    def open(cls, settings: Settings, manner: Manner) -> "BlockingTransport":
        """Open a channel; nothing is sent yet."""
        target = settings.target
        channel = (
            grpc.secure_channel(target.address, _credentials(settings), options(target))
            if target.tls
            else grpc.insecure_channel(target.address, options(target))
        )
        return cls(_Wire(settings, channel), manner)

    def with_manner(self, manner: Manner) -> "BlockingTransport":
        """The same channel with other deadlines or retries."""
        return BlockingTransport(self._wire, manner)

    def send(self, call: Call[RequestT, ResponseT]) -> ResponseT:
        """Send a unary call. Raises WindlassError."""
        deadline = self.manner.deadline()
        if not call.method.idempotent:
            return self._attempt(call, deadline)
        retrying = self.manner.retries.sync(deadline)
        answer: ResponseT = retrying(self._attempt, call, deadline)
        return answer

    def _attempt(self, call: Call[RequestT, ResponseT], deadline: Deadline) -> ResponseT:
        with self._wire.domain_errors():
            answer: ResponseT = self._wire.bound(call.method)(
                call.request, timeout=max(deadline.left(), 0.001), metadata=self._wire.metadata
            )
        return answer

    def stream(
        self, bind: Callable[[grpc.Channel], Callable[..., Any]], request: object
    ) -> Iterator[Any]:
        """Open a server stream; leaving the iterator cancels it. Raises WindlassError."""
        call = bind(self._wire.channel)(request, metadata=self._wire.metadata)
        try:
            with self._wire.domain_errors():
                yield from call
        finally:
            call.cancel()

    def push(
        self, bind: Callable[[grpc.Channel], Callable[..., ResponseT]], requests: Iterator[Any]
    ) -> ResponseT:
        """Send a client's stream, however long that takes. Raises WindlassError."""
        with self._wire.domain_errors():
            return bind(self._wire.channel)(requests, metadata=self._wire.metadata)

    def patient(self, seconds: float) -> "BlockingTransport":
        """The same channel for calls that may take so long."""
        return self.with_manner(replace(self.manner, timeout=seconds))

    def close(self) -> None:
        """Close the channel; open calls fail as CANCELLED."""
        self._wire.channel.close()


class AioTransport:
    """Sends calls over an asyncio channel of the running event loop."""

    def __init__(self, wire: _Wire, manner: Manner) -> None:
        self._wire = wire
        self.manner = manner

    @classmethod
    def open(cls, settings: Settings, manner: Manner) -> "AioTransport":
        """Open a channel; nothing is sent yet."""
        target = settings.target
        channel = (
            grpc.aio.secure_channel(target.address, _credentials(settings), options(target))
            if target.tls
            else grpc.aio.insecure_channel(target.address, options(target))
        )
        return cls(_Wire(settings, channel), manner)

    def with_manner(self, manner: Manner) -> "AioTransport":
        """The same channel with other deadlines or retries."""
        return AioTransport(self._wire, manner)

    async def send(self, call: Call[RequestT, ResponseT]) -> ResponseT:
        """Send a unary call. Raises WindlassError."""
        deadline = self.manner.deadline()
        if not call.method.idempotent:
            return await self._attempt(call, deadline)
        retrying = self.manner.retries.asynchronous(deadline)
        return await retrying(self._attempt, call, deadline)

    async def _attempt(self, call: Call[RequestT, ResponseT], deadline: Deadline) -> ResponseT:
        with self._wire.domain_errors():
            answer: ResponseT = await self._wire.bound(call.method)(
                call.request, timeout=max(deadline.left(), 0.001), metadata=self._wire.metadata
            )
        return answer

    async def stream(
        self, bind: Callable[[grpc.Channel], Callable[..., Any]], request: object
    ) -> AsyncIterator[Any]:
        """Open a server stream; leaving the iterator cancels it. Raises WindlassError."""
        call = bind(self._wire.channel)(request, metadata=self._wire.metadata)
        try:
            with self._wire.domain_errors():
                async for message in call:
                    yield message
        finally:
            call.cancel()

    async def push(
        self, bind: Callable[[grpc.Channel], Callable[..., Any]], requests: AsyncIterator[Any]
    ) -> Any:
        """Send a client's stream, however long that takes. Raises WindlassError."""
        with self._wire.domain_errors():
            return await bind(self._wire.channel)(requests, metadata=self._wire.metadata)

    def patient(self, seconds: float) -> "AioTransport":
        """The same channel for calls that may take so long."""
        return self.with_manner(replace(self.manner, timeout=seconds))

    async def close(self) -> None:
        """Close the channel; open calls fail as CANCELLED."""
        await self._wire.channel.close()
