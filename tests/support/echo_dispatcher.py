"""A dispatcher that answers with what it was asked."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from tests.support.json_peer import Peers
from windlass_server.gateway.dispatch import OutgoingCall


class Echo:
    """Answers with the request, or with a message of the answer's type that has parts of it.

    It parses each request by google.protobuf: what the gateway hands on has to be a message.
    """

    def __init__(self, peers: Peers, services: Sequence[str]) -> None:
        self._peers = peers
        self._methods = {
            f"/{service}/{method.name}": method
            for service in services
            for method in peers.pool.FindServiceByName(service).methods
        }

    async def unary(self, call: OutgoingCall, request: bytes) -> bytes:
        """The request."""
        return self._answer(call, request)

    async def stream(self, call: OutgoingCall, request: bytes) -> AsyncIterator[bytes]:
        """The request, twice."""
        yield self._answer(call, request)
        yield self._answer(call, request)

    async def client_stream(self, call: OutgoingCall, requests: AsyncIterator[bytes]) -> bytes:
        """The last request."""
        last = b""
        async for request in requests:
            last = request
        return self._answer(call, last)

    async def bidi_stream(
        self, call: OutgoingCall, requests: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Each request."""
        async for request in requests:
            yield self._answer(call, request)

    def _answer(self, call: OutgoingCall, request: bytes) -> bytes:
        method = self._methods[call.method]
        asked = self._peers.type(method.input_type.full_name).FromString(request)
        answer: Any = self._peers.type(method.output_type.full_name)()
        if type(answer) is type(asked):
            return request
        for field in answer.DESCRIPTOR.fields:
            like = asked.DESCRIPTOR.fields_by_name.get(field.name)
            if like is not None and like.type == field.type and field.message_type is None:
                setattr(answer, field.name, getattr(asked, field.name))
        return bytes(answer.SerializeToString())
