"""Moves the logs of runs that have ended into the object store, and removes them when their time has come."""

import asyncio
import logging

from windlass_server.clock import Clock
from windlass_server.objects.log_archive import LogArchive
from windlass_server.objects.logs import LogStore
from windlass_server.storage.tables import RunRow

_log = logging.getLogger(__name__)

# Runs that are looked up together, and logs that are moved at the same time.
_LOOK = 500
_AT_ONCE = 4
_EXPIRE = 100


class LogArchiving:
    """Looks at the logs on this server's disk, whatever happened to them before.

    Args:
        logs: the logs here.
        archive: where they go.
        clock: what time it is.
        after: how long after its run's end a log goes, in microseconds.
        retention: how long it is kept there, in microseconds; 0: for ever.
    """

    def __init__(
        self, logs: LogStore, archive: LogArchive, clock: Clock, *, after: int, retention: int
    ) -> None:
        self._logs = logs
        self._archive = archive
        self._clock = clock
        self._after = after
        self._retention = retention

    async def cycle(self) -> None:
        """Move and remove all that there is to move and to remove."""
        ended_before = self._clock.now() - self._after
        here = await self._logs.run_ids()
        for first in range(0, len(here), _LOOK):
            some = here[first : first + _LOOK]
            complete = await self._archive.complete(some, ended_before=ended_before)
            for one in range(0, len(complete), _AT_ONCE):
                await asyncio.gather(*[self._move(run) for run in complete[one : one + _AT_ONCE]])
        old = self._clock.now() - self._retention if self._retention else None
        while await self._archive.expire(old, _EXPIRE) == _EXPIRE:
            pass

    async def _move(self, run: RunRow) -> None:
        least = 0 if run.log_lost else run.log_end or 0
        try:
            await self._logs.archive(run.run_id, run.rank, least)
        except OSError:
            # Others can be moved all the same.
            _log.exception("the log of %s cannot be moved to the object store", run.run_id)
