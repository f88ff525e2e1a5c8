"""What the agent holds in memory of one run; the run's folder is the truth."""

import asyncio
import os
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from windlass_agent import rundir
from windlass_agent.log_reader import LogReader
from windlass_agent.run_counters import Counters
from windlass_agent.run_types import Collected, Phase, RunExit, RunState
from windlass_agent.rundir import Intent, Settled, Started

T = TypeVar("T")


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
    keeps: bool = False
    """What it leaves in its checkpoint directory is kept: only then it has ended for others."""
    result: RunExit | None = None
    """How it ended: no process of it is left."""
    transfer: asyncio.Task[Any] | None = None
    """Brings it the checkpoint that it begins with, or takes what it has left."""
    saving: asyncio.Task[str] | None = None
    """Takes the checkpoint that it has asked to be saved while it goes on."""
    save_watch: int | None = None
    """The inotify watch on its checkpoint directory."""
    unstarted: bool = False
    """Its agent ended before there was a shim, and has not finished what comes before that."""
    settling: bool = False
    """Somebody sees to what it has left."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    readers: list[LogReader] = field(default_factory=list)
    seen: Counters | None = None
    """What it had used at the last look at the usage."""

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
            doing = "" if self.started else rundir.read_doing(self.folder)
            if doing != self.state.doing:
                self.state = replace(self.state, doing=doing)
            if self.started:
                self.state = replace(
                    self.state,
                    phase=Phase.RUNNING,
                    isolation=self.started.isolation,
                    start_time_ns=self.started.start_time_ns,
                )
        frozen = rundir.is_frozen(self.folder, rundir.FROZEN)
        if self.started is not None and frozen != self.state.frozen:
            self.state = replace(self.state, frozen=frozen)
        self.result = rundir.read_result(self.folder)
        if self.result:
            kept = self.keeps and not self.replaced
            settled = rundir.read_settled(self.folder) if kept else Settled()
            if settled is not None:
                self.end(with_left(self.result, settled))
        return self.state is not before

    @property
    def over(self) -> bool:
        """Whether no process of it is left, whatever becomes of its checkpoint."""
        return self.result is not None or self.ended.is_set()

    def end(self, result: RunExit) -> None:
        """Take over how the run ended."""
        self.state = replace(self.state, phase=Phase.EXITED, exit=result, frozen=False)
        self.ended.set()
        for reader in self.readers:
            reader.wake()

    def drop_pidfd(self) -> None:
        """Give the shim's pidfd back."""
        if self.pidfd is not None:
            asyncio.get_running_loop().remove_reader(self.pidfd)
            os.close(self.pidfd)
            self.pidfd = None


def new(folder: Path, intent: Intent, *, keeps: bool = False) -> Tracked:
    """A run of which nothing but its intent is known."""
    request = intent.request
    state = RunState(request.run_id, request.epoch, Phase.PREPARING)
    return Tracked(folder, intent, state, keeps=keeps)


def with_left(result: RunExit, settled: Settled) -> RunExit:
    """How a run ended, with what became of what it left."""
    return replace(result, checkpoint_problem=settled.problem, artifacts=settled.artifacts)


async def transferred(run: Tracked, work: Coroutine[Any, Any, str]) -> str:
    """Bring or take a run's checkpoint by `work`; answers what went wrong, which a cancel is not."""
    transfer = await _transferring(run, work)
    return outcome(transfer)


async def collected(run: Tracked, work: Coroutine[Any, Any, Collected]) -> Collected:
    """Take what a run has left as artifacts by `work`; answers what became of it."""
    transfer = await _transferring(run, work)
    if transfer.cancelled():
        return Collected()
    error = transfer.exception()
    if error is not None:
        return Collected(problem=f"They are lost by a defect: {error!r}.")
    return transfer.result()


async def _transferring(run: Tracked, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """The task that has done `work`; it is the run's transfer until then."""
    transfer = asyncio.create_task(work)
    run.transfer = transfer
    try:
        await asyncio.wait([transfer])
        return transfer
    finally:
        transfer.cancel()
        run.transfer = None


def outcome(transfer: "asyncio.Task[str]") -> str:
    """What went wrong with a transfer that is done. Its run ends, whatever that was."""
    if transfer.cancelled():
        return ""
    error = transfer.exception()
    return transfer.result() if error is None else f"The checkpoint is lost by a defect: {error!r}."
