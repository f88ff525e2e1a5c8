"""Finds out who calls. Every method that is not public needs exactly one good credential."""

from google.protobuf.message import Message

from windlass_server.access.authenticator import Authenticator
from windlass_server.rpc.call import Call


class Authentication:
    """Sets `call.authenticated`, or raises Unauthenticated."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    async def __call__(self, call: Call, request: Message | None) -> None:
        if not call.method.authz.public:
            values = call.metadata.get("authorization", ())
            call.authenticated = await self._authenticator.authenticate(values)
