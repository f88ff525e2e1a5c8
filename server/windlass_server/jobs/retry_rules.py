"""Which failures of a job's command are tried again by its retry policy, and when. Pure."""

from collections.abc import Collection
from dataclasses import dataclass

from windlass_server.jobs.rules import Ending
from windlass_server.jobs.states import Event

MICROS = 1_000_000
DEFAULT_INITIAL = 10 * MICROS
DEFAULT_MAX = 600 * MICROS
DEFAULT_MULTIPLIER = 2.0
DEFAULT_JITTER = 0.1
CAUSES = frozenset(
    {
        "NONZERO_EXIT",
        "KILLED",
        "OUT_OF_MEMORY",
        "TIME_LIMIT",
        "BAD_COMMAND",
        "SOURCE_FETCH_FAILED",
        "ENVIRONMENT_BUILD_FAILED",
    }
)
"""The reasons of ends that are the command's fault; every other end is no business of a retry policy."""
DEFAULT_CAUSES = CAUSES - {"BAD_COMMAND"}
FAILURES = (Event.FAIL, Event.RUN_OUT_OF_TIME, Event.RUN_OUT_OF_MEMORY)
"""How jobs end without success by themselves."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a job waits before it is queued again: times in microseconds, `jitter` a part of them.

    `most` of None: `DEFAULT_MAX`, or `initial` where that is longer.
    """

    initial: int = DEFAULT_INITIAL
    most: int | None = None
    multiplier: float = DEFAULT_MULTIPLIER
    jitter: float = DEFAULT_JITTER

    def delay(self, retry: int, chance: float) -> int:
        """How long before a retry, in microseconds.

        Args:
            retry: which one, from 1.
            chance: a random number, from 0 to 1.
        """
        most = max(DEFAULT_MAX, self.initial) if self.most is None else self.most
        # Beyond that the power may be no number any more, and the cap holds long before.
        steps = min(retry - 1, 100)
        wait = min(float(most), self.initial * self.multiplier**steps)
        return max(0, round(wait * (1 + self.jitter * (2 * chance - 1))))


@dataclass(frozen=True, slots=True)
class Policy:
    """When a job that has failed runs again.

    Attributes:
        max_attempts: how many runs may fail.
        backoff: how soon.
        exit_codes: what the command returned then; with `signals` and `causes` empty, too: any failure.
        signals: which signal ended it then.
        causes: by which of `CAUSES` it failed then.
    """

    max_attempts: int = 1
    backoff: Backoff = Backoff()
    exit_codes: Collection[int] = ()
    signals: Collection[int] = ()
    causes: Collection[str] = ()

    def covers(self, reason: str, exit_code: int | None, exit_signal: int | None) -> bool:
        """Whether a run that failed in this way is tried again, if it may be."""
        if reason not in CAUSES:
            return False
        if not (self.exit_codes or self.signals or self.causes):
            return reason in DEFAULT_CAUSES
        if reason in self.causes:
            return True
        if reason == "NONZERO_EXIT":
            return exit_code in self.exit_codes
        return reason == "KILLED" and exit_signal in self.signals


@dataclass(frozen=True, slots=True)
class Retried:
    """A failed run that is tried again: what happens to the job, and how long it waits (µs)."""

    ending: Ending
    delay: int


def retried(
    ending: Ending,
    policy: Policy,
    *,
    failed: int,
    exit_code: int | None,
    exit_signal: int | None,
    chance: float,
) -> Retried | None:
    """What becomes of a job by its policy whose run ended; None: what the end itself says.

    Args:
        ending: what the end says.
        policy: the job's.
        failed: how many of its runs have failed before by the command's fault.
        exit_code: what the command returned, if it did.
        exit_signal: the signal that ended it, if one did.
        chance: a random number, from 0 to 1.
    """
    if ending.event not in FAILURES or failed + 1 >= policy.max_attempts:
        return None
    if not policy.covers(ending.reason, exit_code, exit_signal):
        return None
    delay = policy.backoff.delay(failed + 1, chance)
    when = f"in {delay / MICROS:.3g} s" if delay else "at once"
    message = f"{ending.message}; retry {failed + 1} of {policy.max_attempts - 1} is queued {when}"
    return Retried(Ending(Event.REQUEUE, "RETRY_BACKOFF", message), delay)
