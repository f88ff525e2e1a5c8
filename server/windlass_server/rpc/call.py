"""What travels with one call through the interceptors to the servicer."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc import code_pb2

from windlass.options.v1 import options_pb2
from windlass_server.access.policy import Caller


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the contract and what its options say.

    Attributes:
        path: full gRPC name, `/package.Service/Method`.
        handler: the servicer's bound method. It may answer a message or its serialized form.
        max_request_bytes: largest serialized request message.
        max_seconds: cap on the caller's deadline, and its default; None: no limit.
        max_stream_bytes: most serialized bytes of a client's stream, all messages together; None: no
            limit.
        reader: made for each client's stream of what parses a message and holds it to the rules; reads
            the stream's messages instead of that, so that its handler may get something else.
    """

    path: str
    descriptor: MethodDescriptor
    request_class: type[Message]
    handler: Callable[..., Any]
    authz: options_pb2.Authz
    max_request_bytes: int
    max_seconds: float | None
    max_stream_bytes: int | None = None
    reader: Callable[[Callable[[bytes], Message]], Callable[[bytes], object]] | None = None

    @property
    def client_streaming(self) -> bool:
        return self.descriptor.client_streaming

    @property
    def server_streaming(self) -> bool:
        return self.descriptor.server_streaming


@dataclass(slots=True)
class Call:
    """One call.

    Attributes:
        metadata: lower-case names and all the values that each came with.
        timeout: seconds until the caller gives up; None when it set no deadline.
        response_metadata: sent back with the answer; bytes where a name ends with `-bin`.
        finalizers: run when the call has ended, however it ended.
        code: the google.rpc.Code that it ended with; CANCELLED as long as it has not.
        let_in: of a call with streams both ways, run when nothing refuses it, before its servicer.
    """

    method: Method
    metadata: Mapping[str, Sequence[str]]
    timeout: float | None = None
    request_id: str = ""
    authenticated: Caller | None = None
    response_metadata: dict[str, str | bytes] = field(default_factory=dict)
    finalizers: list[Callable[[], None]] = field(default_factory=list)
    code: int = code_pb2.CANCELLED
    let_in: Callable[[], Awaitable[None]] | None = None

    @property
    def caller(self) -> Caller:
        """Who calls; RuntimeError in a public method, which must not ask."""
        if self.authenticated is None:
            message = f"{self.method.path} is public and has no caller"
            raise RuntimeError(message)
        return self.authenticated

    def first(self, name: str) -> str:
        """The first value of a metadata name; empty when there is none."""
        values = self.metadata.get(name)
        return values[0] if values else ""
