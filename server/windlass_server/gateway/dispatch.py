"""What the gateway asks of whoever answers its calls: the server's own services or an upstream."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class OutgoingCall:
    """One call, as the gateway hands it on.

    Attributes:
        method: full gRPC name, `/package.Service/Method`.
        metadata: lower-case ASCII metadata names and their values, bytes where a name ends with
            `-bin`.
        peer: the caller's address, `host:port`; empty when unknown.
        timeout: seconds until the caller gives up; None when it set no deadline.
        response_metadata: filled by the dispatcher with what the answer's headers shall carry; of a
            stream, before its first message.
        trailing_metadata: filled by the dispatcher at the end of a stream.
    """

    method: str
    metadata: Mapping[str, str | bytes]
    peer: str = ""
    timeout: float | None = None
    response_metadata: dict[str, str | bytes] = field(default_factory=dict)
    trailing_metadata: dict[str, str | bytes] = field(default_factory=dict)


class RpcFailure(Exception):
    """A call that ended with an error: `status` is a serialized `google.rpc.Status`."""

    def __init__(self, code: int, message: str, status: bytes) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class Dispatcher(Protocol):
    """Answers calls given and answered as serialized messages; raises `RpcFailure`."""

    async def unary(self, call: OutgoingCall, request: bytes) -> bytes:
        """Answer a unary call."""
        ...

    def stream(self, call: OutgoingCall, request: bytes) -> AsyncIterator[bytes]:
        """Answer a server-streaming call; closing the iterator cancels it."""
        ...

    async def client_stream(self, call: OutgoingCall, requests: AsyncIterator[bytes]) -> bytes:
        """Answer a client-streaming call; an error of `requests` cancels it and is raised here."""
        ...

    def bidi_stream(
        self, call: OutgoingCall, requests: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Answer a stream with a stream; closing the iterator cancels it, as does an error above."""
        ...
