"""Makes the jobs of arrays' indices as there is room for them, and ends arrays whose indices have ended."""

from collections.abc import Callable, Iterable

from windlass_server.clock import Clock
from windlass_server.jobs.arrays import ArraysService

# Jobs to which something has happened, of one look.
_AT_ONCE = 500
# How often what a crash has lost is looked for.
_SWEEP_SECONDS = 10.0


class Arrays:
    """Looks after arrays when something has happened to them or their indices.

    Args:
        arrays: what is done then.
    """

    def __init__(self, arrays: ArraysService, clock: Clock) -> None:
        self._arrays = arrays
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

    async def cycle(self) -> None:
        """One look."""
        changed, self._changed = [*self._changed], {}
        try:
            for first in range(0, len(changed), _AT_ONCE):
                await self._arrays.look(changed[first : first + _AT_ONCE])
        except BaseException:
            self._changed |= dict.fromkeys(changed)
            raise
        since = self._clock.monotonic() - self._swept
        if self._behind or since >= _SWEEP_SECONDS:
            self._behind = await self._arrays.sweep(self._behind)
            self._swept = self._clock.monotonic()
