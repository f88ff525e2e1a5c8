"""Bounds what callers can make the server hold: calls in flight and the time of each."""

from google.protobuf.message import Message

from windlass_server.errors import Exhausted
from windlass_server.rpc.call import Call


class Limits:
    """Refuses unary calls beyond `max_in_flight`, and caps each call's time as its method says."""

    def __init__(self, max_in_flight: int) -> None:
        self._max = max_in_flight
        self._in_flight = 0

    async def __call__(self, call: Call, request: Message | None) -> None:
        cap = call.method.max_seconds
        if cap is not None:
            call.timeout = cap if call.timeout is None else min(cap, call.timeout)
        if call.method.server_streaming:
            return
        if self._in_flight >= self._max:
            message = f"the server is answering {self._max} calls already"
            raise Exhausted(message, reason="TOO_MANY_CALLS", retry_seconds=0.5)
        self._in_flight += 1
        call.finalizers.append(self._ended)

    def _ended(self) -> None:
        self._in_flight -= 1
