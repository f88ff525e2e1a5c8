"""gRPC's own health service, which tells balancers when to send no more calls."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message
from grpc import StatusCode, aio
from grpc_health.v1._async import HealthServicer

from windlass_server.errors import Unavailable
from windlass_server.rpc.draining import Draining


class Health(HealthServicer):  # type: ignore[misc]
    """The library's servicer, whose watchers do not hold up a server that stops."""

    def __init__(self, draining: Draining) -> None:
        super().__init__()
        self._draining = draining

    async def Watch(self, request: Message, context: aio.ServicerContext[Any, Any]) -> None:  # noqa: N802
        """Tell every change of a service's status, the last of which is NOT_SERVING."""
        try:
            await self._draining.unless_begun(super().Watch(request, context))
        except Unavailable as error:
            await context.abort(StatusCode.UNAVAILABLE, error.message)
