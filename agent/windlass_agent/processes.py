"""Which process is which: a pid alone is not an identity, since numbers are used again.

A process is known by (boot id, pid, start time). Signals go through pidfds, which cannot hit
another process than the one that was looked at.
"""

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


@cache
def boot_id() -> str:
    """An id that changes when the machine is booted."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def stat_fields(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third on; empty if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  (hot path: no Path objects)
            text = file.read().decode("ascii", "replace")
    except OSError:
        return []
    # The second field is the program's name in brackets and may itself hold brackets and blanks.
    return text[text.rindex(")") + 2 :].split()


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 if there is no such process."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields else 0


def parent(pid: int) -> int:
    """The parent of a process; 0 if there is none or no such process."""
    fields = stat_fields(pid)
    return int(fields[1]) if fields else 0


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that cannot be mistaken for a later one with the same number."""

    boot_id: str
    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """The identity of a process that lives now."""
        return cls(boot_id(), pid, start_time(pid))

    def open(self) -> int | None:
        """A pidfd of the process, owned by the caller; None if it is gone."""
        if self.boot_id != boot_id() or not self.start_time:
            return None
        try:
            pidfd = os.pidfd_open(self.pid)
        except OSError:
            return None
        # The check comes after the opening: from here on the pidfd is that very process.
        if start_time(self.pid) == self.start_time:
            return pidfd
        os.close(pidfd)
        return None


def children(pid: int) -> list[int]:
    """The children of a process, of all its threads."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208  (names only)
            with (
                contextlib.suppress(OSError),
                open(f"/proc/{pid}/task/{thread}/children") as file,  # noqa: PTH123
            ):
                found += [int(child) for child in file.read().split()]
    return found


def descendants(pid: int) -> list[int]:
    """All processes below one, parents before their children."""
    found: list[int] = []
    queue = [pid]
    while queue:
        below = children(queue.pop())
        found += below
        queue += below
    return found


def is_namespace_init(pid: int) -> bool:
    """Whether a process is pid 1 of a pid namespace below ours."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123
            for line in file:
                if line.startswith(b"NSpid:"):
                    numbers = line.split()[1:]
                    return len(numbers) > 1 and numbers[-1] == b"1"
    except OSError:
        pass
    return False


def signal_all(listing: Callable[[], set[int]], number: int) -> None:
    """Signal every process that `listing` gives, once before and once after pidfds were opened.

    Between a look at a list and a signal a process may end and its number be used again; a pidfd
    that was opened before the second look can only be a process that the list really means.
    """
    opened: dict[int, int] = {}
    for pid in listing():
        with contextlib.suppress(OSError):
            opened[pid] = os.pidfd_open(pid)
    confirmed = listing()
    for pid, pidfd in opened.items():
        if pid in confirmed:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(pidfd, number)
        os.close(pidfd)


def prctl(option: int, argument: int | bytes) -> None:
    """Set an attribute of this process; see prctl in section 2 of the manual.

    Raises:
        OSError: If the kernel refuses.
    """
    value = ctypes.c_char_p(argument) if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def set_oom_score(adjustment: int) -> None:
    """Say how gladly the kernel shall kill this process when the machine has no memory left.

    Raises:
        OSError: If a value below the present one is not permitted.
    """
    with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write(str(adjustment))


def die_with_parent(expected_parent: int) -> None:
    """Have the kernel kill this process when its parent ends; also if that has happened already."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != expected_parent:
        os._exit(1)
