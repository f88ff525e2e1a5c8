"""When a failed call is tried again, and after how long."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tenacity import AsyncRetrying, RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from windlass_client.errors import (
    Aborted,
    Cancelled,
    Internal,
    ResourceExhausted,
    Unavailable,
    WindlassError,
)


@dataclass(frozen=True)
class RetryPolicy:
    """How often an idempotent call is tried, and how long it waits between two tries.

    The wait is exponential with full jitter over its upper half, so that clients which lost the
    same server do not come back in step. A server's `RetryInfo` is a lower bound.

    Attributes:
        attempts: tries in all; 1 switches retries off.
        first_delay: seconds before the second try.
        max_delay: upper bound of the backoff in seconds; `RetryInfo` may ask for more.
        resume_for: seconds for which a broken log stream is reopened without any message coming.
        random: yields numbers in [0, 1).
    """

    attempts: int = 5
    first_delay: float = 0.1
    max_delay: float = 5.0
    resume_for: float = 120.0
    random: Callable[[], float] = field(default=random.random, repr=False)

    def delay(self, failures: int, error: BaseException | None = None) -> float:
        """Seconds to wait after the `failures`-th failure in a row (from 1)."""
        ceiling = min(self.max_delay, self.first_delay * 2.0 ** min(failures - 1, 30))
        backoff = ceiling * (0.5 + self.random() / 2)
        asked = error.retry_after if isinstance(error, WindlassError) else None
        return max(backoff, asked or 0.0)

    def sync(self, deadline: "Deadline") -> Retrying:
        """The tenacity controller of a blocking idempotent call."""
        return Retrying(
            retry=retry_if_exception(is_transient),
            stop=self._stop(deadline),
            wait=self._wait,
            reraise=True,
        )

    def asynchronous(self, deadline: "Deadline") -> AsyncRetrying:
        """The tenacity controller of an asyncio idempotent call."""
        return AsyncRetrying(
            retry=retry_if_exception(is_transient),
            stop=self._stop(deadline),
            wait=self._wait,
            reraise=True,
        )

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return self.delay(state.attempt_number, error)

    def _stop(self, deadline: "Deadline") -> Callable[[RetryCallState], bool]:
        enough = stop_after_attempt(self.attempts)
        return lambda state: enough(state) or deadline.left() <= state.upcoming_sleep


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time on a monotonic clock; one deadline covers all tries of a call.

    Attributes:
        at: the point, in seconds of `clock`.
        clock: monotonic seconds.
    """

    at: float
    clock: Callable[[], float]

    @classmethod
    def after(cls, seconds: float, clock: Callable[[], float]) -> "Deadline":
        """The deadline `seconds` from now."""
        return cls(clock() + seconds, clock)

    def left(self) -> float:
        """Seconds until the deadline; negative behind it."""
        return self.at - self.clock()


def is_transient(error: BaseException) -> bool:
    """Whether trying the same idempotent call again may succeed.

    A rate limit counts only when the server says when to come back: a quota does not pass by itself.
    """
    if isinstance(error, ResourceExhausted):
        return error.retry_after is not None
    return isinstance(error, Unavailable)


def is_resumable(error: BaseException) -> bool:
    """Whether a broken read-only stream can go on from its last cursor.

    Wider than `is_transient`: a proxy or a server that goes away mid-stream shows as a reset, which
    grpc calls INTERNAL, UNKNOWN or CANCELLED, and reading again never does harm.
    """
    if type(error) is WindlassError:
        return error.code == "UNKNOWN"
    return is_transient(error) or isinstance(error, Aborted | Cancelled | Internal)
