"""Stops the processes of a task where they are, and lets them go on.

The kernel does that for a whole cgroup at once. Without one, each process is sent SIGSTOP until none is found that
runs; such a task can tell that it was stopped (SIGCHLD of a shell, SIGCONT), one that the kernel froze cannot.
"""

import signal
from collections.abc import Callable

from windlass_agent import processes
from windlass_agent.cgroups import Group

_LOOK_AGAIN_SECONDS = 0.05
# Stopped, by a tracer too, or dead.
_STILL = frozenset("TtZX")
# Inside the kernel, such as who waits for a child of vfork(2) which was stopped itself: a SIGSTOP that was sent to
# it comes before it does anything more.
_IN_KERNEL = "D"


class Freezer:
    """Freezes one task.

    Args:
        group: The task's cgroup.
        users: The task's processes, without those that hold its isolation.
        told: Called with whether the task is frozen, when that has changed.
    """

    def __init__(
        self, group: Group, users: Callable[[], set[int]], told: Callable[[bool], None]
    ) -> None:
        self._group = group
        self._users = users
        self._told = told
        self._by_signals = False
        self._signalled: set[int] = set()
        self.wanted = False
        """Whether the task shall be frozen."""
        self.look_at: float | None = None
        """When to look again whether it is, on the monotonic clock; None: nothing is awaited."""

    def set(self, now: float, *, frozen: bool) -> None:
        """Freeze the task, or thaw it; what is so already stays so."""
        if frozen == self.wanted:
            return
        self.wanted = frozen
        if frozen:
            self._by_signals = not self._group.freeze(frozen=True)
            self._signalled.clear()
            self.look_at = now
            self.look(now)
            return
        self.look_at = None
        if self._by_signals:
            processes.signal_all(self._users, signal.SIGCONT)
        else:
            self._group.freeze(frozen=False)
        self._told(False)

    def look(self, now: float) -> None:
        """Tell when the task has come to stand still; call it at `look_at`."""
        if self.look_at is None or now < self.look_at:
            return
        if self._stands_still():
            self.look_at = None
            self._told(True)
        else:
            self.look_at = now + _LOOK_AGAIN_SECONDS

    def _stands_still(self) -> bool:
        if not self._by_signals:
            return self._group.is_frozen()
        running = {pid for pid in self._users() if not self._is_still(pid)}
        processes.signal_all(lambda: running, signal.SIGSTOP)
        self._signalled |= running
        return not running

    def _is_still(self, pid: int) -> bool:
        fields = processes.stat_fields(pid)
        if not fields or fields[0] in _STILL:
            return True
        return fields[0] == _IN_KERNEL and pid in self._signalled
