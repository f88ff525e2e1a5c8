"""Brings a run what it begins with, before it has a shim: an earlier checkpoint, and the content of its archive."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from windlass_agent import remains, rundir
from windlass_agent.checkpoints import Checkpoints
from windlass_agent.run_types import Cause, Damage
from windlass_agent.sources import BadArchive, Sources
from windlass_agent.tracked import Tracked, transferred


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a run cannot begin."""

    cause: Cause
    message: str


class Bringing:
    """Brings what runs begin with.

    Args:
        checkpoints: Brings checkpoints; None: there are none.
        sources: Brings archives; None: there are none.
        look: Called when there is news of a run.
    """

    def __init__(
        self,
        checkpoints: Checkpoints | None,
        sources: Sources | None,
        look: Callable[[Tracked], None],
    ) -> None:
        self._checkpoints = checkpoints
        self._sources = sources
        self._look = look

    async def bring(self, run: Tracked) -> Trouble | None:
        """Bring it all; None when it is there, or the run is to be stopped, which its shim will see."""
        request = run.intent.request
        trouble = await self._restore(run) if request.restore is not None else None
        if trouble is None and request.source_id and rundir.read_stop(run.folder) is None:
            trouble = await self._unpack(run)
        return trouble

    async def bring_anew(self, run: Tracked) -> Trouble | None:
        """As `bring`, where an agent before this one did not finish it."""
        await asyncio.to_thread(remains.empty, run.folder, (rundir.WORK, rundir.RESTORE))
        return await self.bring(run)

    async def _restore(self, run: Tracked) -> Trouble | None:
        if self._checkpoints is None:
            return Trouble(Cause.LAUNCH_FAILED, "This agent keeps no checkpoints.")
        restoring = self._checkpoints.restore(run.intent.request, run.folder / rundir.RESTORE)
        problem = await transferred(run, restoring)
        if not problem:
            return None
        damaged = isinstance(problem, Damage)
        return Trouble(Cause.CHECKPOINT_DAMAGED if damaged else Cause.LAUNCH_FAILED, problem)

    async def _unpack(self, run: Tracked) -> Trouble | None:
        if self._sources is None:
            return Trouble(Cause.SOURCE_UNAVAILABLE, "This agent brings no archives.")
        await asyncio.to_thread(rundir.tell_doing, run.folder, "unpacking its files")
        self._look(run)
        archive, work = run.folder / rundir.ARCHIVE, run.folder / rundir.WORK
        problem = await transferred(run, self._sources.bring(run.intent.request, archive, work))
        if not problem:
            return None
        bad = isinstance(problem, BadArchive)
        return Trouble(Cause.SOURCE_UNPACK_FAILED if bad else Cause.SOURCE_UNAVAILABLE, problem)
