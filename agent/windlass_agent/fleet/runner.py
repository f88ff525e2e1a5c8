"""Tasks that are not there: they hold their GPUs, say a few lines, take their time and end well."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

from windlass_agent.changes import Changes
from windlass_agent.clock import Clock
from windlass_agent.fleet.counts import Counts
from windlass_agent.fleet.log import SimulatedLog
from windlass_agent.gpu.simulated import SimulatedGpus
from windlass_agent.run_types import (
    Cause,
    Isolation,
    Level,
    Phase,
    RunExit,
    RunNotEnded,
    RunNotFound,
    RunRequest,
    RunState,
    RunUsage,
    checked_run_id,
)
from windlass_agent.simulation import load_of

ISOLATION = Isolation(Level.SANDBOX, ("cpu", "memory", "pids"), "v2")
_CPU_SHARE = 0.9
_MEMORY_SHARE = 0.6
_FIRST_PID = 1000


@dataclass(slots=True)
class _Run:
    request: RunRequest
    state: RunState
    log: SimulatedLog
    pid: int
    stopped: asyncio.Future[Cause]
    living: "asyncio.Task[None] | None" = field(default=None)


class SimulatedRunner:
    """Keeps the contract of `windlass_agent.runner.Runner` without a process.

    Args:
        task_seconds: how long a task runs.
        gpus: the node's cards, which tasks set to work.
        clock: its time.
        counts: where starts and ends are counted.
    """

    def __init__(
        self, task_seconds: float, gpus: SimulatedGpus, clock: Clock, counts: Counts
    ) -> None:
        self._task_seconds = task_seconds
        self._gpus = gpus
        self._clock = clock
        self._counts = counts
        self._runs: dict[str, _Run] = {}
        self._changes = Changes()
        self._next_pid = _FIRST_PID

    async def run(self, request: RunRequest) -> None:
        """Start a task; a higher epoch than the known one replaces the run, a lower is ignored.

        Raises:
            BadRunId: If the run id is malformed.
        """
        checked_run_id(request.run_id)
        known = self._runs.get(request.run_id)
        if known is not None and known.state.epoch >= request.epoch:
            return
        if known is not None:
            self._abandon(known)
        run = self._admit(request)
        run.living = asyncio.create_task(self._live(run))

    async def stop(
        self, run_id: str, grace_seconds: float, *, epoch: int = 0, cause: Cause = Cause.STOPPED
    ) -> None:
        """End a task at once; with an `epoch`, one that is not known yet will not begin either."""
        del grace_seconds
        run = self._runs.get(checked_run_id(run_id))
        if run is None:
            if epoch:
                self._end(self._admit(RunRequest(run_id, epoch, command=("",))), cause)
        elif not (epoch and run.state.epoch > epoch) and not run.stopped.done():
            run.stopped.set_result(cause)

    async def freeze(self, run_id: str, *, epoch: int, frozen: bool) -> None:
        """Say that a task is frozen, or goes on; its time passes all the same."""
        run = self._runs.get(run_id)
        if run is None or run.state.epoch != epoch or run.state.phase is not Phase.RUNNING:
            return
        if run.state.frozen != frozen:
            run.state = replace(run.state, frozen=frozen)
            self._changes.publish(run.state)

    async def forget(self, run_id: str) -> None:
        """Drop an ended run; an unknown one is fine.

        Raises:
            RunNotEnded: it still runs.
        """
        run = self._runs.get(run_id)
        if run is None:
            return
        if run.state.phase is not Phase.EXITED:
            raise RunNotEnded(f"{run_id} has not ended")
        del self._runs[run_id]
        self._counts.tasks_acknowledged += 1

    def lose_all(self) -> None:
        """The machine was switched off: whatever ran has ended, nobody knows how."""
        for run in self._runs.values():
            if run.living is not None:
                run.living.cancel()
            if run.state.phase is not Phase.EXITED:
                self._end(run, Cause.LOST)

    def states(self) -> list[RunState]:
        """Every run that the node knows."""
        return [run.state for run in self._runs.values()]

    def changes(self) -> AsyncIterator[RunState]:
        """New states from the call on."""
        return self._changes.subscribe()

    def log(self, run_id: str) -> SimulatedLog:
        """The log of a run.

        Raises:
            RunNotFound: the node knows no such run.
        """
        run = self._runs.get(run_id)
        if run is None:
            raise RunNotFound(run_id)
        return run.log

    def usage(self, run_id: str) -> RunUsage | None:
        """What a running task uses; None if it does not run."""
        run = self._runs.get(run_id)
        if run is None or run.state.phase is not Phase.RUNNING:
            return None
        asked = run.request
        memory = int(asked.memory_bytes * _MEMORY_SHARE)
        return RunUsage(asked.cpu_millis * _CPU_SHARE, memory, pids=1)

    def request_of(self, run_id: str) -> RunRequest | None:
        """What was asked of a run; None when the node knows no such run."""
        run = self._runs.get(run_id)
        return None if run is None else run.request

    def run_of_pid(self, pid: int) -> str:
        """The run that a simulated process belongs to; empty when none."""
        return next((run_id for run_id, run in self._runs.items() if run.pid == pid), "")

    async def close(self) -> None:
        """End everything without a word."""
        living = [run.living for run in self._runs.values() if run.living is not None]
        for task in living:
            task.cancel()
        await asyncio.gather(*living, return_exceptions=True)

    def _admit(self, request: RunRequest) -> _Run:
        stopped: asyncio.Future[Cause] = asyncio.get_running_loop().create_future()
        state = RunState(request.run_id, request.epoch, Phase.PREPARING)
        run = _Run(request, state, SimulatedLog(self._clock), self._next_pid, stopped)
        self._next_pid += 1
        self._runs[request.run_id] = run
        self._changes.publish(state)
        return run

    def _abandon(self, run: _Run) -> None:
        if run.living is not None:
            run.living.cancel()
        self._gpus.set_idle(run.state.run_id)

    async def _live(self, run: _Run) -> None:
        request = run.request
        self._counts.tasks_started += 1
        for uuid in request.gpu_uuids:
            self._gpus.set_busy(uuid, request.run_id, run.pid, load_of(request))
        now = self._clock.time_nanos()
        run.state = replace(run.state, phase=Phase.RUNNING, isolation=ISOLATION, start_time_ns=now)
        self._changes.publish(run.state)
        cards = f" on {len(request.gpu_uuids)} simulated GPUs" if request.gpu_uuids else ""
        run.log.say(f"{request.name or request.job_id}, attempt {request.attempt}{cards}")
        limit = request.time_limit_seconds
        seconds = self._task_seconds if limit is None else min(self._task_seconds, limit)
        cause = Cause.TIME_LIMIT if seconds < self._task_seconds else Cause.COMPLETED
        if seconds > 0:
            cause = await self._until_stopped(run, seconds) or cause
        run.log.say("done" if cause is Cause.COMPLETED else f"ended by {cause.name}")
        self._end(run, cause)

    async def _until_stopped(self, run: _Run, seconds: float) -> Cause | None:
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        either: list[asyncio.Future[Any]] = [sleeping, run.stopped]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
        return run.stopped.result() if run.stopped.done() else None

    def _end(self, run: _Run, cause: Cause) -> None:
        self._gpus.set_idle(run.state.run_id)
        self._counts.tasks_ended += 1
        end = RunExit(
            cause,
            self._clock.time_nanos(),
            exit_code=0 if cause is Cause.COMPLETED else None,
            log_end=run.log.end,
            message="The simulated node was killed." if cause is Cause.LOST else "",
        )
        run.log.complete()
        run.state = replace(run.state, phase=Phase.EXITED, exit=end)
        self._changes.publish(run.state)
