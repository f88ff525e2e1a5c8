"""Saves checkpoints of tasks that go on, whenever these ask for it."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from windlass_agent import rundir
from windlass_agent.checkpoints import Checkpoints
from windlass_agent.inotify import IN_CREATE, IN_MOVED_TO, Inotify
from windlass_agent.tracked import Tracked, outcome

# A task that asks all the time is answered no more often.
_PAUSE_SECONDS = 10.0


class LiveSaves:
    """Watches the checkpoint directories of running tasks.

    Args:
        checkpoints: Keeps what is saved.
        duty: Runs work beside everything else, until the agent ends.
        pause: Least seconds between two saves of a task.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        duty: Callable[[Coroutine[Any, Any, None]], None],
        *,
        pause: float = _PAUSE_SECONDS,
    ) -> None:
        self._checkpoints = checkpoints
        self._duty = duty
        self._pause = pause
        self._saved_at: dict[str, float] = {}

    def watch(self, run: Tracked, inotify: Inotify | None) -> None:
        """Save when this task asks for it, from now on, and if it has asked already."""
        if run.over:
            return
        if inotify is not None and run.save_watch is None:
            with contextlib.suppress(OSError):
                run.save_watch = inotify.watch(
                    run.folder / rundir.CHECKPOINT,
                    IN_CREATE | IN_MOVED_TO,
                    lambda name: self.look(run) if name in (rundir.SAVE, "") else None,
                )
        self.look(run)

    def look(self, run: Tracked) -> None:
        """Save if the task asks for it."""
        if run.saving is None and not run.over and rundir.is_save_asked(run.folder):
            # Made here: from now on there is one.
            run.saving = asyncio.ensure_future(self._save(run))
            self._duty(self._finish(run, run.saving))

    def drop(self, run: Tracked, inotify: Inotify | None) -> None:
        """Give up what is under way: the task has ended, and what it has left is saved anew."""
        if inotify is not None and run.save_watch is not None:
            inotify.forget(run.save_watch)
            run.save_watch = None
        self._saved_at.pop(run.run_id, None)
        if run.saving is not None:
            run.saving.cancel()

    async def _save(self, run: Tracked) -> str:
        now = asyncio.get_running_loop().time
        await asyncio.sleep(self._saved_at.get(run.run_id, -self._pause) + self._pause - now())
        problem = await self._checkpoints.save(
            run.intent.request, None, run.folder / rundir.CHECKPOINT
        )
        self._saved_at[run.run_id] = now()
        return problem

    async def _finish(self, run: Tracked, saving: "asyncio.Task[str]") -> None:
        try:
            await asyncio.wait([saving])
        finally:
            saving.cancel()
            run.saving = None
        if not saving.cancelled():
            await asyncio.to_thread(rundir.answer_save, run.folder, outcome(saving))
            self.look(run)
