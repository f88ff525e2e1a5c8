"""Finds out who calls. Every method that is not public needs exactly one good credential."""

from collections.abc import Awaitable, Sequence

from google.protobuf.message import Message

from windlass_server.access.authenticator import Authenticator
from windlass_server.rpc.call import Call


class Authentication:
    """Sets `call.authenticated`, or raises Unauthenticated."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def __call__(self, call: Call, request: Message | None) -> Awaitable[None] | None:
        if call.method.authz.public:
            return None
        values = call.metadata.get("authorization", ())
        call.authenticated = self._authenticator.remembered(values)
        return self._authenticate(call, values) if call.authenticated is None else None

    async def _authenticate(self, call: Call, values: Sequence[str]) -> None:
        call.authenticated = await self._authenticator.authenticate(values)
