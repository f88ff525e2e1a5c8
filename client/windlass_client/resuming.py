"""Going on with what broke off: how long to wait before the next try, and when to give up."""

from collections.abc import Callable

from windlass_client.connect import Manner
from windlass_client.errors import WindlassError
from windlass_client.retries import Deadline, is_resumable

OnBreak = Callable[[WindlassError, float], None]
"""Called with why a stream broke and the seconds until it is opened again."""


class Resuming:
    """Counts the breaks since something last went on.

    Args:
        manner: how long is waited, and for how long in all.
        on_break: told of each break that is waited for.
    """

    def __init__(self, manner: Manner, on_break: OnBreak | None = None) -> None:
        self._manner = manner
        self._on_break = on_break
        self.went_on()

    def went_on(self) -> None:
        """Note that something came: the next break is the first again."""
        self._failures = 0
        self._give_up = Deadline.after(self._manner.retries.resume_for, self._manner.clock)

    def wait(self, why: WindlassError) -> float:
        """Seconds to wait before the next try; raises `why` when that cannot help or took too long already."""
        self._failures += 1
        delay = self._manner.retries.delay(self._failures, why)
        if not is_resumable(why) or self._give_up.left() < delay:
            raise why
        if self._on_break:
            self._on_break(why, delay)
        return delay
