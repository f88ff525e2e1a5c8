"""Watches one task from its launch until no process of it is left.

One poll loop serves the task's output, its init's words, requests to stop and the deadlines. The
shim is a subreaper: every orphan of the task becomes its child, so "no child left" is the kernel's
own word that the task is gone, on every level of isolation.
"""

import contextlib
import errno
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from windlass_agent import processes
from windlass_agent.bounded_log import BoundedLog
from windlass_agent.cgroups import Group
from windlass_agent.frames import MAX_PAYLOAD, STDERR, STDOUT
from windlass_agent.freezing import Freezer
from windlass_agent.launch import Launcher
from windlass_agent.run_types import Cause
from windlass_agent.rundir import StopRequest

_KILL_AGAIN_SECONDS = 0.2
# What a command left behind goes with its pid namespace; on the lowest level we end it.
_LEAVE_SECONDS = 0.02
_FIRST_WORDS = _LAST_WORDS = 2000


@dataclass(slots=True)
class Ending:
    """What is known of a task's end."""

    started: bool = False
    failure: str = ""
    """The init's words when the command could not be started."""
    wait_status: int | None = None
    """How the command ended; None if its init was killed before it could say."""
    stopped_for: Cause | None = None
    killed: bool = False
    """SIGKILL was sent to the whole tree."""
    first_words: bytes = b""
    """What appeared on stderr before the command ran: a complaint of the sandbox."""
    last_words: bytes = b""
    """What appeared on stderr last."""


class Watch:
    """The loop around one task.

    Args:
        task: What was launched.
        group: The task's cgroup.
        log: Where output goes.
        control: A datagram socket; whatever arrives means that `stop_request` has news.
        stop_request: Reads the newest request to stop.
        on_started: Called once, when the command's program has been executed.
        freeze_request: Whether the task is wanted frozen.
        on_frozen: Called with whether the task is frozen, when that has changed.
        time_limit: Seconds that the command may run; None for no limit.
        grace: Seconds between SIGTERM and SIGKILL at the time limit.
    """

    def __init__(
        self,
        task: Launcher,
        group: Group,
        log: BoundedLog,
        control: socket.socket,
        stop_request: Callable[[], StopRequest | None],
        on_started: Callable[[], None],
        freeze_request: Callable[[], bool] = lambda: False,
        on_frozen: Callable[[bool], None] = lambda _frozen: None,
        *,
        time_limit: float | None,
        grace: float,
    ) -> None:
        self._task = task
        self._group = group
        self._log = log
        self._control = control
        self._stop_request = stop_request
        self._on_started = on_started
        self._freeze_request = freeze_request
        self._freezer = Freezer(group, self._users, on_frozen)
        self._time_limit = time_limit
        self._grace = grace
        self._limit_at: float | None = None
        self._kill_at: float | None = None
        self._said = b""
        self._more = False
        self._gone = False
        self.ending = Ending()

    def run(self) -> Ending:
        """Return when no process of the task is left and its output is in the log."""
        wake, waker = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(waker, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        handlers = self._handlers(wake)
        poll = select.poll()
        for fd in handlers:
            poll.register(fd, select.POLLIN)
        self._look_for_stop()
        self._reap()  # a child may have ended before its signal was watched
        while not self._gone:
            for fd, _ in poll.poll(self._patience()):
                if not handlers[fd]():
                    poll.unregister(fd)
            self._keep_deadlines()
            self._freezer.look(time.monotonic())
            self._log.go_on()
            self._reap()
        for handler in (self._read_status, self._read_stdout, self._read_stderr):
            while handler() and self._more:
                pass
        return self.ending

    def _handlers(self, wake: int) -> dict[int, Callable[[], bool]]:
        return {
            self._task.status: self._read_status,
            self._task.stdout: self._read_stdout,
            self._task.stderr: self._read_stderr,
            self._control.fileno(): self._read_control,
            wake: lambda: bool(_read(wake, 4096)),
        }

    def _read_stdout(self) -> bool:
        return self._pump(self._task.stdout, STDOUT)

    def _read_stderr(self) -> bool:
        return self._pump(self._task.stderr, STDERR)

    def _pump(self, fd: int, stream: int) -> bool:
        data = _read(fd, MAX_PAYLOAD)
        self._more = bool(data)
        if data:
            if stream == STDERR and not self.ending.started:
                self.ending.first_words = (self.ending.first_words + data)[:_FIRST_WORDS]
            if stream == STDERR:
                self.ending.last_words = (self.ending.last_words + data[-_LAST_WORDS:])[
                    -_LAST_WORDS:
                ]
            self._log.append(stream, data)
        return data != b""

    def _read_status(self) -> bool:
        data = _read(self._task.status, 4096)
        self._more = bool(data)
        *lines, self._said = (self._said + (data or b"")).split(b"\n")
        for line in lines:
            word, _, rest = line.partition(b" ")
            if word == b"started":
                self._start()
            elif word == b"failed":
                self.ending.failure = rest.decode(errors="replace")
                self._kill_within(_LEAVE_SECONDS)
            elif word == b"ended":
                self.ending.wait_status = int(rest)
                self._kill_within(_LEAVE_SECONDS)
        return data != b""

    def _start(self) -> None:
        self.ending.started = True
        if self._time_limit is not None:
            self._limit_at = time.monotonic() + self._time_limit
        self._on_started()
        self._look_for_freeze()

    def _read_control(self) -> bool:
        with contextlib.suppress(OSError):
            while self._control.recv(64, socket.MSG_DONTWAIT):
                pass
        self._look_for_stop()
        self._look_for_freeze()
        return True

    def _look_for_freeze(self) -> None:
        """Freeze or thaw, unless the task is on its way out. Frozen, it uses up none of its time."""
        if not self.ending.started or self._kill_at is not None:
            return
        wanted = self._freeze_request()
        if wanted == self._freezer.wanted:
            return
        now = time.monotonic()
        if wanted and self._limit_at is not None:
            self._time_limit, self._limit_at = max(0.0, self._limit_at - now), None
        elif not wanted and self._time_limit is not None:
            self._limit_at = now + self._time_limit
        self._freezer.set(now, frozen=wanted)

    def _look_for_stop(self) -> None:
        request = self._stop_request()
        if request:
            self._stop(request.cause, request.grace_seconds)

    def _stop(self, cause: Cause, grace: float) -> None:
        # What is frozen hears nothing.
        self._freezer.set(time.monotonic(), frozen=False)
        self._kill_within(grace)
        # What has ended by itself keeps its own end while its children are waited for.
        if self.ending.stopped_for is None and self.ending.wait_status is None:
            self.ending.stopped_for = cause
            if self.ending.started:
                self._terminate()
            else:
                self._kill_within(0)

    def _kill_within(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self._kill_at = deadline if self._kill_at is None else min(self._kill_at, deadline)

    def _patience(self) -> float | None:
        """Milliseconds until the next deadline."""
        moments = (self._limit_at, self._kill_at, self._log.wake_at, self._freezer.look_at)
        deadlines = [at for at in moments if at is not None]
        if not deadlines:
            return None
        return max(0.0, min(deadlines) - time.monotonic()) * 1000 + 1

    def _keep_deadlines(self) -> None:
        now = time.monotonic()
        if self._limit_at is not None and now >= self._limit_at:
            self._limit_at = None
            self._stop(Cause.TIME_LIMIT, self._grace)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill()

    def _members(self) -> set[int]:
        below = set(processes.descendants(self._task.pid)) | {self._task.pid}
        return below | self._group.pids()

    def _users(self) -> set[int]:
        """Every process of the task but the ones that hold its isolation."""
        return {
            pid
            for pid in self._members() - {self._task.pid}
            if not processes.is_namespace_init(pid)
        }

    def _terminate(self) -> None:
        processes.signal_all(self._users, signal.SIGTERM)

    def _kill(self) -> None:
        self._kill_at = time.monotonic() + _KILL_AGAIN_SECONDS
        if self.ending.wait_status is None and not self.ending.failure:
            self.ending.killed = True
        self._group.kill()
        processes.signal_all(self._children, signal.SIGKILL)

    @staticmethod
    def _children() -> set[int]:
        return set(processes.descendants(os.getpid()))

    def _reap(self) -> None:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            self._gone = True


def _read(fd: int, size: int) -> bytes | None:
    """Bytes of a descriptor that does not block; None if there are none yet, b"" at its end."""
    try:
        return os.read(fd, size)
    except OSError as error:
        return None if error.errno in (errno.EAGAIN, errno.EINTR) else b""
