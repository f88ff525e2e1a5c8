"""Follows the jobs that wait for others or for their time, and those that have a deadline."""

from collections.abc import Callable, Iterable

from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.jobs.dependencies import DependenciesService
from windlass_server.jobs.suspending import Suspensions

# Jobs to which something has happened, of one look.
_AT_ONCE = 500
# How often what a crash has lost is looked for.
_SWEEP_SECONDS = 10.0


class JobWaits:
    """Looks at what jobs wait for when something has happened to one, and when a time has come.

    Args:
        dependencies: what is done then.
        suspensions: what ends jobs at their deadlines.
        wake: called when there is something to look at.
    """

    def __init__(
        self, dependencies: DependenciesService, suspensions: Suspensions, clock: Clock
    ) -> None:
        self._dependencies = dependencies
        self._suspensions = suspensions
        self._clock = clock
        self._changed: dict[str, None] = {}
        self._behind = ""
        self._swept = -_SWEEP_SECONDS
        self.wake: Callable[[], None] = lambda: None

    def changed(self, topics: Iterable[str]) -> None:
        """Something has happened to these objects, of which jobs are looked at."""
        before = len(self._changed)
        self._changed |= dict.fromkeys(one for one in topics if one.startswith("job-"))
        if len(self._changed) > before:
            self.wake()

    async def cycle(self) -> float | None:
        """One look; in how many seconds the next time comes, None: nothing waits for one."""
        # 1. What others wait for, and those who wait.
        changed, self._changed = [*self._changed], {}
        try:
            for first in range(0, len(changed), _AT_ONCE):
                await self._dependencies.look(changed[first : first + _AT_ONCE])
        except BaseException:
            self._changed |= dict.fromkeys(changed)
            raise
        # 2. What of that was lost on the way, part by part.
        since = self._clock.monotonic() - self._swept
        if self._behind or since >= _SWEEP_SECONDS:
            self._behind = await self._dependencies.sweep(self._behind)
            self._swept = self._clock.monotonic()
        # 3. Those whose time has come.
        start_at = await self._dependencies.start_due()
        # 4. Those whose deadline has.
        end_at = await self._suspensions.end_due()
        times = [at for at in (start_at, end_at) if at is not None]
        return max(0.0, (min(times) - self._clock.now()) / MICROS_PER_SECOND) if times else None
