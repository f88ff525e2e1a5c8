"""Keeps a stream to the server open for as long as the agent lives."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio
import structlog
import tenacity

from windlass_agent.clock import Clock
from windlass_agent.identity import Identity

_log = structlog.get_logger(__name__)

# The server answered and said no: the same question will get the same answer for a while.
_REFUSALS = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
)
# A session that was welcomed and then lasted this long proves that the server is well.
_GOOD_AFTER_SECONDS = 2.0


# A server of an earlier release says nothing before it was told something.
_LET_IN_SECONDS = 1.0


class EndedCall(Protocol):
    """What a call says of its end, and whether it was let in."""

    async def initial_metadata(self) -> Any: ...

    async def code(self) -> grpc.StatusCode: ...

    async def details(self) -> str: ...

    async def trailing_metadata(self) -> Any: ...


class StreamLostError(Exception):
    """A stream that ended, by whichever side. `refused`: the server does not want this node."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next try: uniform in [0, d], d doubling from `initial` to `cap`.

    The full range is drawn from, so that a thousand agents whose server was restarted do not come
    back as one. All in seconds.
    """

    initial: float = 0.2
    cap: float = 15.0
    refused: float = 30.0

    def __call__(self, state: tenacity.RetryCallState) -> float:
        """Seconds before the next try."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, StreamLostError) and error.refused:
            return random.uniform(self.refused / 2, self.refused)  # noqa: S311 - jitter
        return tenacity.wait_random_exponential(multiplier=self.initial, max=self.cap)(state)


@dataclass(slots=True)
class Liveliness:
    """Whether a stream ever became good; a connection fills it in."""

    established_at: float | None = None


async def keep_connected(
    what: str,
    connect: Callable[[Liveliness], Awaitable[None]],
    *,
    backoff: Backoff,
    clock: Clock,
) -> None:
    """Connects again and again, until cancelled.

    Args:
        what: Name of the stream, for the log.
        connect: Holds one connection. Sets `established_at` when the server has answered; ends by
            returning or by raising StreamLostError.
        backoff: Delays between tries; they start anew after a good connection.
        clock: Measures how long a connection lasted, and waits.
    """

    async def once() -> None:
        alive = Liveliness()
        try:
            await connect(alive)
        except StreamLostError as error:
            if not _was_good(alive, clock):
                raise
            _log.warning("stream lost", stream=what, reason=str(error))
        else:
            if not _was_good(alive, clock):
                raise StreamLostError("the server ended the stream")

    def say(state: tenacity.RetryCallState) -> None:
        _log_failure(what, state)

    retry = tenacity.retry_if_exception_type(StreamLostError)
    while True:
        await tenacity.AsyncRetrying(
            wait=backoff, sleep=clock.sleep, retry=retry, before_sleep=say
        )(once)
        await clock.sleep(random.uniform(0, backoff.initial))  # noqa: S311 - jitter


def lost(error: grpc.aio.AioRpcError, identity: Identity) -> StreamLostError:
    """The same failure in the agent's own terms.

    A refusal for the time of the node's clock is none: the server has told the right one.
    """
    reason = f"{error.code().name}: {error.details()}"
    learnt = identity.learn(error.trailing_metadata())
    return StreamLostError(reason, refused=error.code() in _REFUSALS and not learnt)


async def let_in(call: EndedCall, identity: Identity) -> None:
    """Returns when the server has let a call in, or says nothing.

    Before that nothing is written: to a call that was refused meanwhile, grpc would put its own failure
    in the place of what the server said.

    Raises:
        StreamLostError: the server refuses it, or cannot be reached.
    """
    try:
        async with asyncio.timeout(_LET_IN_SECONDS):
            metadata = await call.initial_metadata()
    except TimeoutError:
        return
    if not metadata:  # a refusal has trailers alone
        raise await ended(call, identity)


async def ended(call: EndedCall, identity: Identity) -> StreamLostError:
    """The failure of a stream that was written to after its end, for which grpc has no error."""
    learnt = identity.learn(await call.trailing_metadata())
    code = await call.code()
    reason = f"{code}: {await call.details()}"
    return StreamLostError(reason, refused=code in _REFUSALS and not learnt)


async def first_to_end(*parts: Coroutine[Any, Any, None]) -> None:
    """Runs the parts of a connection side by side; when one ends, so does the connection.

    Returns, or raises what that part raised, once all the others have ended too.
    """
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _was_good(alive: Liveliness, clock: Clock) -> bool:
    since = alive.established_at
    return since is not None and clock.monotonic() - since >= _GOOD_AFTER_SECONDS


def _log_failure(what: str, state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    delay = round(state.upcoming_sleep, 2)
    if isinstance(error, StreamLostError) and error.refused:
        _log.error(
            "the server refuses this node; its tasks go on",
            stream=what,
            reason=str(error),
            retry_seconds=delay,
        )
    elif state.attempt_number == 1 or delay > 1:
        _log.warning("cannot reach the server", stream=what, reason=str(error), retry_seconds=delay)
