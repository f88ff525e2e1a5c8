"""What the agent holds in memory of one run; the run's folder is the truth."""

import asyncio
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from windlass_agent import rundir
from windlass_agent.log_reader import LogReader
from windlass_agent.run_types import Phase, RunExit, RunState
from windlass_agent.rundir import Intent, Started


@dataclass(slots=True, eq=False)
class Tracked:
    """One run."""

    folder: Path
    intent: Intent
    state: RunState
    started: Started | None = None
    pidfd: int | None = None
    """The shim, for as long as it lives."""
    watch: int | None = None
    """The inotify watch on the folder."""
    replaced: bool = False
    """A higher epoch has come; changes of this one are nobody's business."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    readers: list[LogReader] = field(default_factory=list)
    cpu_seen: tuple[int, float] | None = None
    """CPU time in nanoseconds at a time of the monotonic clock, of the last look at the usage."""

    @property
    def run_id(self) -> str:
        """The run."""
        return self.state.run_id

    def log_end(self) -> int | None:
        """Length of the complete log; None while it may grow."""
        return self.state.exit.log_end if self.state.exit else None

    def look(self) -> bool:
        """Take over what the folder says; whether that changed anything."""
        before = self.state
        if before.exit:
            return False
        if self.started is None:
            self.started = rundir.read_started(self.folder)
            if self.started:
                self.state = replace(
                    self.state,
                    phase=Phase.RUNNING,
                    isolation=self.started.isolation,
                    start_time_ns=self.started.start_time_ns,
                )
        result = rundir.read_result(self.folder)
        if result:
            self.end(result)
        return self.state is not before

    def end(self, result: RunExit) -> None:
        """Take over how the run ended."""
        self.state = replace(self.state, phase=Phase.EXITED, exit=result)
        self.ended.set()
        for reader in self.readers:
            reader.wake()

    def drop_pidfd(self) -> None:
        """Give the shim's pidfd back."""
        if self.pidfd is not None:
            asyncio.get_running_loop().remove_reader(self.pidfd)
            os.close(self.pidfd)
            self.pidfd = None


def new(folder: Path, intent: Intent) -> Tracked:
    """A run of which nothing but its intent is known."""
    request = intent.request
    return Tracked(folder, intent, RunState(request.run_id, request.epoch, Phase.PREPARING))
