"""Namespaces without bubblewrap: own processes, ipc, host name, /proc and /tmp.

This is the level below the sandbox: the machine's files stay as they are, apart from the folders
that are hidden. It keeps tasks from seeing and signalling each other, not from reading files.
"""

import ctypes
import os
from collections.abc import Sequence

from windlass_agent import processes

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, doing: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{doing}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    encoded = os.fsencode(kind) if kind else None
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        encoded,
        ctypes.c_ulong(flags),
        os.fsencode(data),
    )
    _check(result, f"mount {target}")


def unshare() -> None:
    """Leave the machine's namespaces; the next child is pid 1 of the new one.

    Raises:
        OSError: If the kernel refuses.
    """
    flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID
    user, group = os.geteuid(), os.getegid()
    if user != 0:
        _check(_libc.unshare(CLONE_NEWUSER), "unshare user")
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    _check(_libc.unshare(flags), "unshare")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:  # noqa: PTH123
        file.write(text)


def arrange(hidden: Sequence[str], kept: Sequence[tuple[str, bool]]) -> None:
    """Make the task's own /proc and /tmp, as pid 1 of the new namespaces.

    Raises:
        OSError: If the kernel refuses.
    """
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    held = [(os.open(path, os.O_PATH | os.O_DIRECTORY), path, writes) for path, writes in kept]
    _mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV)
    _mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")  # noqa: S108
    for path in sorted(set(hidden)):
        if os.path.isdir(path):  # noqa: PTH112
            _mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    for fd, path, writes in held:
        os.makedirs(path, exist_ok=True)  # noqa: PTH103
        _mount(f"/proc/self/fd/{fd}", path, None, MS_BIND)
        if not writes:
            _mount("none", path, None, MS_REMOUNT | MS_BIND | MS_RDONLY)
        os.close(fd)


def enter(hidden: Sequence[str], kept: Sequence[tuple[str, bool]]) -> None:
    """Continue as pid 1 of new namespaces; the caller waits outside and ends as this one does.

    Args:
        hidden: Folders that the task shall not see.
        kept: Folders that it sees even inside of those, and whether it may write there.

    Raises:
        OSError: If the kernel refuses.
    """
    unshare()
    alive, closed = os.pipe()
    child = os.fork()
    if child:
        os.close(alive)
        _, raw = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(raw) & 0xFF)
    os.close(closed)
    # getppid() is 0 in here, so a death of the parent before the prctl shows as a closed pipe.
    processes.prctl(processes.PR_SET_PDEATHSIG, 9)
    os.set_blocking(alive, False)
    try:
        if not os.read(alive, 1):
            os._exit(1)
    except BlockingIOError:
        os.close(alive)
    arrange(hidden, kept)
