"""Forgets what was stopped for what, when that is long over."""

from windlass_server.clock import Clock
from windlass_server.jobs.preemptions import forget_old
from windlass_server.storage.engine import Database


class PreemptionRemoval:
    """Looks for preemptions that no policy minds any more; those that are under way stay."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def cycle(self) -> None:
        """Remove all that there is to remove."""
        now = self._clock.now()
        while await self._database.write(lambda tx: forget_old(tx, now)):
            pass
