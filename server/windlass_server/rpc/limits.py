"""Bounds what callers can make the server hold: calls in flight, open streams, the time of each."""

from collections.abc import Callable
from functools import partial

from google.protobuf.message import Message

from windlass_server.errors import Exhausted
from windlass_server.rpc.call import Call

_CALL_RETRY_SECONDS = 0.5
# Streams stay open for long, so that there is no use in asking again at once.
_STREAM_RETRY_SECONDS = 5.0


class Limits:
    """Refuses unary calls beyond `max_in_flight`, and caps each call's time as its method says.

    Comes before authentication: it also bounds what strangers ask for.
    """

    def __init__(self, max_in_flight: int) -> None:
        self._max = max_in_flight
        self._in_flight = 0

    def __call__(self, call: Call, request: Message | None) -> None:
        cap = call.method.max_seconds
        if cap is not None:
            call.timeout = cap if call.timeout is None else min(cap, call.timeout)
        if call.method.server_streaming:
            return
        if self._in_flight >= self._max:
            message = f"the server is answering {self._max} calls already"
            raise Exhausted(message, reason="TOO_MANY_CALLS", retry_seconds=_CALL_RETRY_SECONDS)
        self._in_flight += 1
        call.finalizers.append(self._ended)

    def _ended(self) -> None:
        self._in_flight -= 1


class CallerLimits:
    """Refuses what one principal asks for beyond its share, so that others still get theirs.

    Comes behind authentication. A principal's API keys and tokens count together; a node is one too.

    Args:
        max_calls: a principal's calls in flight that answer once.
        max_streams: a principal's open streams, in whichever direction.
    """

    def __init__(self, max_calls: int, max_streams: int) -> None:
        self._max_calls = max_calls
        self._max_streams = max_streams
        self._calls: dict[str, int] = {}
        self._streams: dict[str, int] = {}

    def __call__(self, call: Call, request: Message | None) -> None:
        if call.authenticated is None:
            return
        user = call.authenticated.user
        if call.method.server_streaming or call.method.client_streaming:
            if self._streams.get(user, 0) >= self._max_streams:
                raise Exhausted(
                    f"{user} has {self._max_streams} streams open already, the most there may be",
                    reason="TOO_MANY_STREAMS",
                    retry_seconds=_STREAM_RETRY_SECONDS,
                    limit=str(self._max_streams),
                )
            call.finalizers.append(_counted(self._streams, user))
        else:
            if self._calls.get(user, 0) >= self._max_calls:
                raise Exhausted(
                    f"the server is answering {self._max_calls} calls of {user} already",
                    reason="TOO_MANY_CALLS_OF_CALLER",
                    retry_seconds=_CALL_RETRY_SECONDS,
                    limit=str(self._max_calls),
                )
            call.finalizers.append(_counted(self._calls, user))


def _counted(counter: dict[str, int], user: str) -> Callable[[], None]:
    """Counts one more; what is returned counts it off, and forgets who has none left."""
    counter[user] = counter.get(user, 0) + 1
    return partial(_ended, counter, user)


def _ended(counter: dict[str, int], user: str) -> None:
    left = counter[user] - 1
    if left:
        counter[user] = left
    else:
        del counter[user]
