"""The supervisor of one task. It outlives the agent, holds the task's pipes and writes its result.

A shim is a fork of the spawner: everything that it needs is imported before it exists, and what
can be made without a task is made before there is one.
"""

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any, NoReturn

from windlass_agent import processes, rundir, task_secrets
from windlass_agent.bounded_log import BoundedLog
from windlass_agent.cgroups import Group, Limits
from windlass_agent.frames import STDERR, FrameWriter
from windlass_agent.launch import Launcher, Program, program
from windlass_agent.preparation import Surroundings, prepare
from windlass_agent.run_types import Cause, RunExit
from windlass_agent.rundir import Intent, Started
from windlass_agent.task_secrets import GivenSecret
from windlass_agent.verdict import verdict
from windlass_agent.watch import Ending, Watch

# Bubblewrap and the init of a sandbox count as processes of the group.
_OWN_PIDS = 2
_FULL_DISK_PAUSE_SECONDS = 1.0
_LOCK_PAUSE_SECONDS = 0.2


def main(assignment: int, cgroup_bases: dict[str, str]) -> NoReturn:
    """Get ready, wait for a run and supervise it, from a fresh fork to the end of the process.

    Args:
        assignment: A pipe that the run's folder will come from, and behind a NUL its secrets; its end
            alone means: go.
        cgroup_bases: Folder for the tasks' groups by controller.
    """
    code = 1
    try:
        _prepare_process()
        standby = _Standby(cgroup_bases)
        with open(assignment, "rb") as pipe:
            assigned, _, packed = pipe.read().partition(b"\0")
        folder = os.fsdecode(assigned)
        if folder:
            os.chdir(folder)  # names in it stay short: a socket's may have 107 bytes
            held = rundir.claim(".", standby.name if standby.group.folders else "")
            intent = rundir.read_intent(".")
            if held is not None and intent is not None:
                _Shim(folder, intent, standby, task_secrets.unpack(packed)).run()
        standby.end()
        code = 0
    finally:
        os._exit(code)


def _prepare_process() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # tasks are stopped by the agent or the kernel
    processes.prctl(processes.PR_SET_CHILD_SUBREAPER, 1)
    processes.prctl(processes.PR_SET_NAME, b"windlass-shim")
    with contextlib.suppress(OSError):  # needs a capability; a machine short of memory spares us
        processes.set_oom_score(-900)


class _Standby:
    """What can be made before there is a task: its cgroup and the process that will become it."""

    def __init__(self, cgroup_bases: dict[str, str]) -> None:
        self.name = f"{os.getpid()}-{processes.start_time(os.getpid())}"
        self.trouble = ""
        try:
            self.group = Group.make(cgroup_bases, self.name)
        except OSError as error:
            self.group = Group()
            self.trouble = f"The cgroup could not be made: {error}."
        self.launcher = Launcher(self.group)
        self._taken = False

    def take_launcher(self) -> Launcher:
        """The process that waits to become a task's; made anew behind the first."""
        if self._taken:
            self.launcher = Launcher(self.group)
        self._taken = True
        return self.launcher

    def end(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.launcher.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.launcher.pid, 0)
        self.group.remove()


class _Shim:
    def __init__(
        self, folder: str, intent: Intent, standby: _Standby, secrets: list[GivenSecret]
    ) -> None:
        self._secrets = secrets
        self._folder = folder
        self._intent = intent
        self._standby = standby
        self._group = standby.group
        fd = os.open(rundir.LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._writer = FrameWriter(fd)
        setup = intent.setup
        self._log = BoundedLog(self._writer, setup.log_quota_bytes, setup.log_rate_bytes)

    def run(self) -> None:
        """Supervise the task and write its result."""
        try:
            end = self._supervise()
        except OSError as error:
            end = self._verdict(Ending(failure=f"supervise {error.errno or 0} {error}"))
        self._finish(end)

    def _verdict(self, ending: Ending) -> RunExit:
        return verdict(ending, self._intent, oom_kills=self._group.oom_kills())

    def _supervise(self) -> RunExit:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
            control.bind(rundir.CONTROL)
            stop = rundir.read_stop(".")
            if stop:
                return self._verdict(Ending(stopped_for=stop.cause))
            self._limit()
            request = self._intent.request
            work = os.path.join(self._folder, rundir.WORK)  # noqa: PTH118
            prepared = prepare(self._intent, work, self._surroundings(work, control))
            if prepared.end is not None:
                return prepared.end
            command = program(self._intent, work, self._take_secrets(), prepared.environment)
            ending = self._watched(
                work, command, control, self._note_start, request.time_limit_seconds
            )
            return self._verdict(ending)

    def _watched(
        self,
        work: str,
        program: Program,
        control: socket.socket,
        on_started: Callable[[int], None],
        time_limit: float | None,
    ) -> Ending:
        """Run a program of the task to its end; `on_started` is told its topmost process."""
        launcher = self._standby.take_launcher()
        launcher.start(self._intent, work, program)
        watch = Watch(
            launcher,
            self._group,
            self._log,
            control,
            lambda: rundir.read_stop("."),
            lambda: on_started(launcher.pid),
            lambda: rundir.is_frozen(".", rundir.FREEZE),
            self._note_frozen,
            time_limit=time_limit,
            grace=self._intent.request.grace_seconds,
        )
        return watch.run()

    def _surroundings(self, work: str, control: socket.socket) -> Surroundings:
        """What a preparation needs of this shim."""

        def watched(program: Program, *, time_limit: float) -> Ending:
            return self._watched(work, program, control, lambda _pid: None, time_limit)

        def wait() -> None:
            select.select([control], [], [], _LOCK_PAUSE_SECONDS)

        def stopped() -> Cause | None:
            stop = rundir.read_stop(".")
            return None if stop is None else stop.cause

        return Surroundings(
            watched, wait, stopped, partial(rundir.tell_doing, "."), self._group.oom_kills
        )

    def _take_secrets(self) -> dict[str, str]:
        """What the task's variables are given of secrets, whose files are written; here they are forgotten."""
        files = task_secrets.write_files(self._intent.secrets_folder, self._secrets)
        values = {one.variable: os.fsdecode(one.value) for one in self._secrets if not one.file}
        self._secrets = []
        return values | files

    def _limit(self) -> None:
        """Set the task's limits; where that fails it runs without, and its isolation says so."""
        request, setup = self._intent.request, self._intent.setup
        limits = Limits(request.cpu_millis, request.memory_bytes, setup.pids_limit + _OWN_PIDS)
        trouble = self._standby.trouble
        try:
            self._group.limit(limits)
        except OSError as error:
            trouble = f"The limits could not be set: {error}."
        if trouble:
            isolation = replace(
                setup.isolation, cgroup_limits=(), cgroup_version="", degraded_reason=trouble
            )
            # The rlimits that stand in for it are chosen from what the task is said to have.
            self._intent = replace(self._intent, setup=replace(setup, isolation=isolation))

    def _note_start(self, pid: int) -> None:
        started = Started(
            start_time_ns=time.clock_gettime_ns(time.CLOCK_REALTIME),
            isolation=self._intent.setup.isolation,
            task=processes.Identity.of(pid),
            cgroups=self._group.folders,
        )
        # Not forced to the disk: what a power cut takes away is dead anyway.
        rundir.write_whole(rundir.STARTED, asdict(started), durable=False)
        isolation, request = started.isolation, self._intent.request
        limits = ", ".join(isolation.cgroup_limits) or "none"
        self._tell(f"process {pid} was started with isolation {isolation.level.name}")
        self._tell(
            f"limits by cgroup {isolation.cgroup_version or '(none)'}: {limits}; "
            f"{request.cpu_millis} thousandths of a core, {request.memory_bytes} bytes of memory"
        )
        if isolation.degraded_reason:
            self._tell(f"weaker than it could be: {isolation.degraded_reason}")

    def _tell(self, text: str) -> None:
        """In debug mode, say in the run's log what is done with it, within the log's bounds."""
        if self._intent.request.debug_mode:
            self._log.append(STDERR, f"windlass: {text}\n".encode(errors="replace"))

    @staticmethod
    def _note_frozen(frozen: bool) -> None:
        # On a full disk the task is frozen all the same, and the server learns of it later or never.
        with contextlib.suppress(OSError):
            rundir.write_whole(rundir.FROZEN, {"frozen": frozen}, durable=False)

    def _finish(self, exit_: RunExit) -> None:
        task_secrets.remove_files(self._intent.secrets_folder)
        message = exit_.message
        self._tell_end(exit_)
        self._log.finish()
        with contextlib.suppress(OSError):
            self._writer.sync()
        if self._writer.dropped:
            lost = (
                f"{self._writer.dropped} bytes of output could not be written to the node's disk."
            )
            message = f"{message} {lost}".strip()
        end = time.clock_gettime_ns(time.CLOCK_REALTIME)
        final = replace(exit_, log_end=self._writer.end, end_time_ns=end, message=message)
        with contextlib.suppress(OSError):
            os.unlink(rundir.CONTROL)  # noqa: PTH108
        self._write_result(asdict(final))

    def _tell_end(self, exit_: RunExit) -> None:
        how = f"exit code {exit_.exit_code}" if exit_.exit_code is not None else ""
        how = f"signal {exit_.exit_signal}" if exit_.exit_signal is not None else how
        self._tell(f"it ended: {', '.join(filter(None, (exit_.cause.name, how, exit_.message)))}")
        if self._intent.setup.debug_keep_seconds:
            kept = f"{self._intent.setup.debug_keep_seconds:.0f} s"
            name = os.path.basename(self._folder)  # noqa: PTH119
            self._tell(
                f"its folder is kept for {kept} as kept/{name} in the data folder of its node"
            )

    def _write_result(self, result: dict[str, Any]) -> None:
        """Write how the task ended, however long the disk is full: without it the run counts as lost."""
        while True:
            try:
                rundir.write_whole(rundir.RESULT, result, durable=True)
            except OSError:
                time.sleep(_FULL_DISK_PAUSE_SECONDS)
            else:
                return
