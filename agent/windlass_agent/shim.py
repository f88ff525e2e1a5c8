"""The supervisor of one task. It outlives the agent, holds the task's pipes and writes its result.

A shim is a fork of the spawner: everything that it needs is imported before it exists.
"""

import contextlib
import os
import signal
import socket
import time
from dataclasses import asdict, replace
from typing import NoReturn

from windlass_agent import processes, rundir
from windlass_agent.cgroups import Group, Limits
from windlass_agent.frames import FrameWriter
from windlass_agent.launch import launch
from windlass_agent.run_types import Isolation, RunExit
from windlass_agent.rundir import Intent, Started
from windlass_agent.verdict import verdict
from windlass_agent.watch import Ending, Watch

# The init of a sandbox and bubblewrap count as processes of the task.
_OWN_PIDS = 4


def main(folder: str) -> NoReturn:
    """Supervise the run whose folder this is, from a fresh fork to the end of the process."""
    code = 1
    try:
        os.chdir(folder)  # names in it stay short: a socket's may have 107 bytes
        held = rundir.claim(".")
        intent = rundir.read_intent(".")
        if held is not None and intent is not None:
            _Shim(folder, intent).run()
            code = 0
    finally:
        os._exit(code)


class _Shim:
    def __init__(self, folder: str, intent: Intent) -> None:
        self._folder = folder
        self._intent = intent
        self._group = Group()
        self._isolation = Isolation()
        fd = os.open(rundir.LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._log = FrameWriter(fd)

    def run(self) -> None:
        processes.prctl(processes.PR_SET_CHILD_SUBREAPER, 1)
        processes.prctl(processes.PR_SET_NAME, b"windlass-shim")
        try:
            ending = self._supervise()
        except OSError as error:
            ending = Ending(failure=f"supervise {error.errno or 0} {error}")
        oom_kills = self._group.oom_kills()
        exit_ = verdict(ending, self._intent, oom_kills=oom_kills)
        self._finish(exit_)
        self._group.remove()

    def _supervise(self) -> Ending:
        request = self._intent.request
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
            control.bind(rundir.CONTROL)
            stop = rundir.read_stop(".")
            if stop:
                return Ending(stopped_for=stop.cause)
            self._make_group()
            work = os.path.join(self._folder, rundir.WORK)  # noqa: PTH118
            task = launch(self._intent, work, self._group)
            watch = Watch(
                task,
                self._group,
                self._log,
                control,
                lambda: rundir.read_stop("."),
                lambda: self._note_start(task.pid),
                time_limit=request.time_limit_seconds,
                grace=request.grace_seconds,
            )
            return watch.run()

    def _make_group(self) -> None:
        """Give the task its cgroup; without one it runs, and its isolation says so."""
        request, setup = self._intent.request, self._intent.setup
        name = os.path.basename(self._folder)  # noqa: PTH119
        limits = Limits(request.cpu_millis, request.memory_bytes, setup.pids_limit + _OWN_PIDS)
        self._isolation = setup.isolation
        if not setup.cgroup_bases:
            return
        try:
            self._group = Group.make(setup.cgroup_bases, name, limits)
        except OSError as error:
            self._isolation = replace(
                setup.isolation,
                cgroup_limits=(),
                cgroup_version="",
                degraded_reason=f"The cgroup could not be made: {error}.",
            )
            # The rlimits that stand in for it are chosen from what the task is said to have.
            self._intent = replace(
                self._intent, setup=replace(setup, isolation=self._isolation, cgroup_bases={})
            )

    def _note_start(self, pid: int) -> None:
        started = Started(
            start_time_ns=time.clock_gettime_ns(time.CLOCK_REALTIME),
            isolation=self._isolation,
            task=processes.Identity.of(pid),
            cgroups=self._group.folders,
        )
        # Not forced to the disk: what a power cut takes away is dead anyway.
        rundir.write_whole(rundir.STARTED, asdict(started), durable=False)

    def _finish(self, exit_: RunExit) -> None:
        message = exit_.message
        with contextlib.suppress(OSError):
            self._log.sync()
        if self._log.dropped:
            lost = f"{self._log.dropped} bytes of output could not be written to the node's disk."
            message = f"{message} {lost}".strip()
        end = time.clock_gettime_ns(time.CLOCK_REALTIME)
        final = replace(exit_, log_end=self._log.end, end_time_ns=end, message=message)
        with contextlib.suppress(OSError):
            os.unlink(rundir.CONTROL)  # noqa: PTH108
        rundir.write_whole(rundir.RESULT, asdict(final), durable=True)


def reset_signals() -> None:
    """Undo what the spawner did to signals, in a fresh fork of it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
