"""Runs tasks on this node, each under its own shim, and knows their state across restarts.

The agent's process only writes intents, asks for shims and reads what they write. Whether a run
was started, runs or has ended is told by its folder (`rundir`); inotify and the shims' pidfds only
say when to look.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine
from pathlib import Path
from typing import Any

from windlass_agent import (
    adoption,
    attribution,
    cgroups,
    environments,
    frames,
    remains,
    rundir,
    sandbox,
    stop_requests,
    task_secrets,
    tracked,
)
from windlass_agent.artifacts import Artifacts
from windlass_agent.bringing import Bringing, Trouble
from windlass_agent.changes import Changes
from windlass_agent.checkpoints import Checkpoints
from windlass_agent.environments import Packaging
from windlass_agent.inotify import IN_MOVED_TO, Inotify
from windlass_agent.kept_runs import KeptRuns
from windlass_agent.live_saves import LiveSaves
from windlass_agent.log_reader import LogReader
from windlass_agent.metric_sockets import MetricSockets
from windlass_agent.run_types import (
    Cause,
    Collected,
    Isolation,
    Phase,
    RunExit,
    RunNotEnded,
    RunNotFound,
    RunRequest,
    RunState,
    RunUsage,
    checked_run_id,
)
from windlass_agent.rundir import Intent, NodeSetup, Settled, StopRequest
from windlass_agent.sources import Sources
from windlass_agent.spawn_client import SpawnClient, SpawnFailed
from windlass_agent.tracked import Tracked, collected, transferred, with_left

_LOOK_AGAIN_SECONDS = 0.05

# How often what is kept of runs is looked at.
_TIDY_SECONDS = 30.0


class Runner:
    """Starts, stops, adopts and forgets tasks. All methods belong to one event loop.

    Args:
        data_dir: The agent's own folder, which no other agent may use; run folders are made in
            `data_dir/runs`.
        isolation: What `canary.detect()` proved; each task gets all of it.
        hidden_paths: Folders that no task may see, beside `data_dir` (such as the server's).
        shared_paths: Folders that sandboxed tasks may write to, such as a mounted file server.
        pids_limit: Processes and threads that one task may have.
        log_quota_bytes: How large the log of a run may become; 0: as large as it likes.
        debug_keep_seconds: How long the folders of runs in debug mode are kept.
        log_rate_bytes: By how much it may grow in a second; 0: by as much as it likes.
        checkpoints: Keeps what tasks save for their next attempts; without it nothing is kept.
        artifacts: Takes what tasks leave as artifacts of their jobs; without it nothing is taken.
        metrics: Takes what tasks say of themselves in numbers; without it there is no socket for it.
        sources: Brings the archives that tasks start among; without it there are none.
        packages: How Python packages are installed.
    """

    def __init__(
        self,
        data_dir: Path,
        isolation: Isolation,
        *,
        hidden_paths: tuple[Path, ...] = (),
        shared_paths: tuple[Path, ...] = (),
        pids_limit: int = 4096,
        log_quota_bytes: int = 0,
        debug_keep_seconds: float = 3600.0,
        log_rate_bytes: int = 0,
        checkpoints: Checkpoints | None = None,
        artifacts: Artifacts | None = None,
        metrics: MetricSockets | None = None,
        sources: Sources | None = None,
        packages: Packaging | None = None,
    ) -> None:
        self._checkpoints = checkpoints
        self._bringing = Bringing(checkpoints, sources, self._look)
        self._packages = packages or Packaging()
        self._artifacts = artifacts
        self._metrics = metrics
        self._keeps = checkpoints is not None or artifacts is not None
        data_dir = data_dir.resolve()
        self._folder = data_dir / "runs"
        self._kept = KeptRuns(data_dir / "kept", debug_keep_seconds)
        secrets_folder = task_secrets.folder_for(data_dir)
        hidden = (data_dir, *(path.resolve() for path in hidden_paths))
        # Each task sees its own alone of what lies there.
        hidden = (*hidden, Path(secrets_folder)) if secrets_folder else hidden
        self._setup = NodeSetup(
            isolation=isolation,
            cgroup_bases=cgroups.find(data_dir).only(isolation.cgroup_limits),
            hidden_paths=(*map(str, hidden), *sandbox.secret_paths(Path.home())),
            shared_paths=tuple(str(path.resolve()) for path in shared_paths),
            pids_limit=pids_limit,
            log_quota_bytes=log_quota_bytes,
            log_rate_bytes=log_rate_bytes,
            secrets_folder=secrets_folder,
            debug_keep_seconds=debug_keep_seconds,
            environments=str(data_dir / "environments"),
            uv=self._packages.uv,
            index_url=self._packages.index_url,
        )
        self._runs: dict[str, Tracked] = {}
        self._changes = Changes()
        self._spawner = SpawnClient(self._setup.cgroup_bases, data_dir / "spawner.log")
        self._inotify: Inotify | None = None
        self._duties: set[asyncio.Task[None]] = set()
        self._saves = LiveSaves(checkpoints, self._duty) if checkpoints else None

    async def start_up(self) -> list[RunState]:
        """Adopt what earlier agents started, mark as LOST what has neither shim nor result."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            self._inotify = Inotify()
        # Before there is a spawner: its standby shims have cgroups that belong to no run.
        found = await asyncio.to_thread(
            adoption.scan,
            self._folder,
            self._setup.cgroup_bases,
            keeps=self._keeps,
        )
        await self._spawner.start()
        self._duty(self._tidy_kept())
        for run in found:
            known = self._runs.get(run.run_id)
            if known and known.state.epoch > run.state.epoch:
                continue
            self._runs[run.run_id] = run
            if run.result is not None:
                self._look(run)
            elif run.unstarted:
                self._duty(self._start_with(run, self._bringing.bring_anew(run)))
            elif run.state.phase is not Phase.EXITED:
                claimed = rundir.read_claim(run.folder)
                self._receive_metrics(run)
                self._follow(run, claimed.shim.open() if claimed else None)
        await self._trim_environments()
        return self.states()

    async def run(self, request: RunRequest) -> None:
        """Start a task; returns when the intent is on disk and its shim is on its way.

        Idempotent per (run_id, epoch). A higher epoch than the known one replaces the run, which
        is killed first if it has not ended; a lower one is ignored.

        Raises:
            BadRunId: If the run id is malformed.
        """
        checked_run_id(request.run_id)
        known = self._runs.get(request.run_id)
        if known and known.state.epoch >= request.epoch:
            return
        run = self._admit(request)
        if known:
            await self._replace(known)
        if request.min_isolation > self._setup.isolation.level:
            await self._refuse(run, self._too_weak(request))
            return
        try:
            await asyncio.to_thread(rundir.write_intent, run.folder, run.intent)
        except OSError as error:
            await self._refuse(run, f"The run could not be written to the node's disk: {error}.")
            return
        if request.restore is None and not request.source_id:
            await self._start(run)
        else:
            self._duty(self._start_with(run, self._bringing.bring(run)))

    async def _start_with(self, run: Tracked, bringing: Awaitable[Trouble | None]) -> None:
        """Start a run when what it begins with is there."""
        trouble = await bringing
        if trouble is None:
            await self._start(run)
        else:
            await self._refuse(run, trouble.message, trouble.cause)

    async def _trim_environments(self) -> None:
        """Keep the virtual environments of Python in their bounds."""
        base, limit = Path(self._setup.environments), self._packages.limit_bytes
        with contextlib.suppress(OSError):
            await asyncio.to_thread(environments.trim, base, limit)

    def _admit(self, request: RunRequest) -> Tracked:
        folder = self._folder / f"{request.run_id}.{request.epoch}"
        run = tracked.new(folder, Intent(request, self._setup), keeps=self._keeps)
        self._runs[request.run_id] = run
        self._changes.publish(run.state)
        return run

    def _too_weak(self, request: RunRequest) -> str:
        have = self._setup.isolation
        return (
            f"The task asks for isolation {request.min_isolation.name}, this node enforces "
            f"{have.level.name}: {have.degraded_reason}"
        )

    async def _replace(self, old: Tracked) -> None:
        old.replaced = True
        if old.transfer is not None:
            old.transfer.cancel()
        await self._request_stop(old, StopRequest(0, Cause.STOPPED))
        await old.ended.wait()
        await self._drop(old)

    async def _start(self, run: Tracked) -> None:
        if run.replaced:
            await self._refuse(run, "A newer placement of the run came first.", Cause.STOPPED)
            return
        self._watch(run)
        self._receive_metrics(run)
        try:
            pidfd = await self._spawner.spawn(
                run.folder, task_secrets.pack(run.intent.request.secrets)
            )
        except SpawnFailed as error:
            await self._refuse(run, f"No process could be started: {error}.")
            return
        run.intent = run.intent.without_secrets
        self._follow(run, pidfd)

    def _receive_metrics(self, run: Tracked) -> None:
        if self._metrics is not None:
            self._metrics.open(run.run_id, run.state.epoch, run.folder)

    async def _refuse(self, run: Tracked, message: str, cause: Cause = Cause.LAUNCH_FAILED) -> None:
        """End a run that has no shim."""
        run.intent = run.intent.without_secrets

        def write() -> None:
            if rundir.read_intent(run.folder) is None:
                rundir.write_intent(run.folder, run.intent)
            remains.write_end(run.folder, cause, message)

        try:
            await asyncio.to_thread(write)
            self._look(run)
        except OSError:  # a full disk: at least the server learns of it
            self._end_in_memory(run, cause, message)

    def _end_in_memory(self, run: Tracked, cause: Cause, message: str) -> None:
        now = time.clock_gettime_ns(time.CLOCK_REALTIME)
        log_end = frames.file_end(run.folder / rundir.LOG)
        run.end(RunExit(cause, now, log_end=log_end, message=message))
        self._changes.publish(run.state)

    def _watch(self, run: Tracked) -> None:
        if self._inotify and run.watch is None:
            with contextlib.suppress(OSError):
                run.watch = self._inotify.watch(run.folder, IN_MOVED_TO, lambda _: self._look(run))
        if run.watch is None:
            self._duty(self._look_again_and_again(run))

    async def _look_again_and_again(self, run: Tracked) -> None:
        while not run.over:
            self._look(run)
            if self._saves:
                self._saves.look(run)
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    def _follow(self, run: Tracked, pidfd: int | None) -> None:
        """Learn of everything that happens to a run whose shim was started."""
        self._watch(run)
        self._look(run)
        if self._saves:
            self._saves.watch(run, self._inotify)
        if run.over:
            if pidfd is not None:
                os.close(pidfd)
        elif pidfd is None:
            self._duty(self._after_shim(run))
        else:
            run.pidfd = pidfd
            loop = asyncio.get_running_loop()
            loop.add_reader(pidfd, lambda: self._shim_ended(run))

    def _look(self, run: Tracked) -> None:
        if run.look() and not run.replaced:
            self._changes.publish(run.state)
        if run.over and run.watch is not None and self._inotify:
            self._inotify.forget(run.watch)
            run.watch = None
        if run.over and self._saves:
            self._saves.drop(run, self._inotify)
        if run.over and not run.ended.is_set() and not run.settling:
            run.settling = True
            self._duty(self._settle(run))

    async def _settle(self, run: Tracked) -> None:
        """Have what an ended run has left for others taken; only then it has ended."""
        assert run.result is not None
        request, result = run.intent.request, run.result
        if self._metrics is not None and not run.replaced:
            self._metrics.close(run.run_id)
        if run.saving is not None:
            await asyncio.wait([run.saving])
        problem, artifacts = "", Collected()
        if self._checkpoints is not None:
            folder = run.folder / rundir.CHECKPOINT
            problem = await transferred(run, self._checkpoints.save(request, result, folder))
        if self._artifacts is not None and not run.replaced:
            folder = run.folder / rundir.ARTIFACTS
            artifacts = await collected(run, self._artifacts.collect(request, folder))
        settled = Settled(problem, artifacts)
        # If this cannot be written, the next agent does it all again, which does no harm.
        with contextlib.suppress(OSError):
            await asyncio.to_thread(rundir.write_settled, run.folder, settled)
        run.end(with_left(result, settled))
        if not run.replaced:
            self._changes.publish(run.state)
        if request.packages is not None:
            await self._trim_environments()

    def _shim_ended(self, run: Tracked) -> None:
        run.drop_pidfd()
        self._look(run)
        if not run.over:
            self._duty(self._after_shim(run))

    async def _after_shim(self, run: Tracked) -> None:
        try:
            await asyncio.to_thread(adoption.mark_lost, run.folder, run.intent)
        except OSError as error:
            self._end_in_memory(run, Cause.LOST, f"The result could not be written: {error}.")
            return
        self._look(run)
        if not run.over:  # it was forked late and lives after all
            claimed = rundir.read_claim(run.folder)
            self._follow(run, claimed.shim.open() if claimed else None)

    def _duty(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._duties.add(task)
        task.add_done_callback(self._duties.discard)

    async def stop(
        self, run_id: str, grace_seconds: float, *, epoch: int = 0, cause: Cause = Cause.STOPPED
    ) -> None:
        """Ask a task to end: SIGTERM now, SIGKILL after `grace_seconds`. Returns at once.

        Idempotent; a repeat with a shorter grace shortens it. With an `epoch`, only that one or
        an older is stopped, and a run that the node does not know becomes EXITED with STOPPED, so
        that a start which comes late is refused.

        Raises:
            BadRunId: If the run id is malformed.
        """
        checked_run_id(run_id)
        run = self._runs.get(run_id)
        if run is None:
            if epoch:
                unknown = self._admit(RunRequest(run_id, epoch, command=("",)))
                await self._refuse(unknown, "Stopped before it was known here.", cause)
            return
        if epoch and run.state.epoch > epoch:
            return
        await self._request_stop(run, StopRequest(grace_seconds, cause))

    async def freeze(self, run_id: str, *, epoch: int, frozen: bool) -> None:
        """Have the processes of a task stopped where they are, or go on. Returns at once; idempotent.

        Of a run that the node does not know, of another epoch, or that is over, nothing happens.
        """
        run = self._runs.get(run_id)
        if run is None or run.over or run.state.epoch != epoch:
            return
        await asyncio.to_thread(stop_requests.want_frozen, run.folder, frozen=frozen)

    async def _request_stop(self, run: Tracked, request: StopRequest) -> None:
        if run.over:
            return
        await asyncio.to_thread(run.folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        stop_requests.write(run.folder, request)
        if run.transfer is not None:
            run.transfer.cancel()

    async def forget(self, run_id: str) -> None:
        """Remove everything about an ended run; an unknown one is fine.

        Raises:
            RunNotEnded: If it still has processes.
        """
        run = self._runs.get(run_id)
        if run is None:
            return
        if not run.ended.is_set():
            raise RunNotEnded(f"{run_id} has not ended")
        del self._runs[run_id]
        await self._drop(run)

    async def _drop(self, run: Tracked) -> None:
        run.drop_pidfd()
        for reader in run.readers:
            reader.close()
        debug_mode = run.intent.request.debug_mode
        await asyncio.to_thread(
            remains.remove, run.folder, run.intent, self._kept if debug_mode else None
        )

    async def _tidy_kept(self) -> None:
        while True:
            await asyncio.to_thread(self._kept.tidy)
            await asyncio.sleep(_TIDY_SECONDS)

    def states(self) -> list[RunState]:
        """Every run that the node knows, in no particular order."""
        return [run.state for run in self._runs.values()]

    def changes(self) -> AsyncIterator[RunState]:
        """New states as they come, from the call on; only the newest of each run is kept."""
        return self._changes.subscribe()

    def log(self, run_id: str) -> LogReader:
        """The log of a run.

        Raises:
            RunNotFound: If the node knows no such run.
        """
        run = self._runs.get(run_id)
        if run is None:
            raise RunNotFound(run_id)
        reader = LogReader(run.folder / rundir.LOG, self._inotify, run.log_end)
        run.readers.append(reader)
        return reader

    def usage(self, run_id: str) -> RunUsage | None:
        """What a running task uses; None if it does not run."""
        run = self._runs.get(run_id)
        if run is None or run.state.phase is not Phase.RUNNING or run.over:
            return None
        return attribution.usage(run, time.monotonic())

    def root_of(self, run_id: str, epoch: int) -> int | None:
        """The topmost process of a run of an epoch; None when it does not run."""
        run = self._runs.get(run_id)
        if run is None or run.state.epoch != epoch or run.over or run.started is None:
            return None
        return run.started.task.pid

    def request_of(self, run_id: str) -> RunRequest | None:
        """What was asked of a run; None when the node knows no such run."""
        run = self._runs.get(run_id)
        return None if run is None else run.intent.request

    def run_of_pid(self, pid: int) -> str:
        """The run that a process of this machine belongs to; empty when none."""
        return attribution.run_of_pid(pid, self._runs)

    async def close(self, *, stop_tasks: bool) -> None:
        """Let go of the tasks, or with `stop_tasks` stop them (NODE_SHUTDOWN) and wait."""
        if stop_tasks:
            for run in self._runs.values():
                grace = run.intent.request.grace_seconds
                await self._request_stop(run, StopRequest(grace, Cause.NODE_SHUTDOWN))
            await asyncio.gather(*(run.ended.wait() for run in self._runs.values()))
        for duty in self._duties:
            duty.cancel()
        for run in self._runs.values():
            run.drop_pidfd()
            for reader in run.readers:
                reader.close()
        if self._inotify:
            self._inotify.close()
            self._inotify = None
        self._spawner.close()
        with contextlib.suppress(OSError):
            os.rmdir(self._setup.secrets_folder)  # noqa: PTH106
        if stop_tasks:
            bases = cgroups.Group(self._setup.cgroup_bases)
            await asyncio.to_thread(bases.remove, patience_seconds=0.5)
