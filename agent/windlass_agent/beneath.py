"""Files below a folder, opened so that no path leads out of it, whatever lies there and whoever changes it.

`openat2` (Linux 5.6) refuses in the kernel what goes up, through a link or onto another file system. Where
it is not to be had, each folder on the way is opened by itself and never a link.
"""

import contextlib
import ctypes
import errno
import os
import struct
import sys
from functools import cache

_OPENAT2 = 437  # of every architecture
_HOW = struct.Struct("=QQQ")
_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x01, 0x02, 0x04, 0x08
_RESOLVE = _NO_XDEV | _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH
# What a kernel says that does not have it, and a filter that does not know it.
_ABSENT = (errno.ENOSYS, errno.EPERM)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)


def open_beneath(folder: int, path: bytes, flags: int, mode: int = 0) -> int:
    """A descriptor of what lies at a path below a folder.

    Args:
        folder: Descriptor of the folder.
        path: Names joined by `/`.
        flags: As for `os.open`; links are never followed.
        mode: Of a file that is made.

    Raises:
        OSError: it cannot be opened: ELOOP or EXDEV where the path leads elsewhere.
    """
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    if not is_native():
        return _by_steps(folder, path, flags, mode)
    how = _HOW.pack(flags, mode, _RESOLVE)
    while True:
        # It takes no mode where nothing is made.
        fd = _libc.syscall(_OPENAT2, folder, path, how, len(how))
        if fd >= 0:
            return int(fd)
        number = ctypes.get_errno()
        # EAGAIN: somebody renamed something on the way meanwhile.
        if number not in (errno.EAGAIN, errno.EINTR):
            raise OSError(number, os.strerror(number), os.fsdecode(path))


@cache
def is_native() -> bool:
    """Whether this kernel has openat2."""
    if not sys.platform.startswith("linux"):
        return False
    how = _HOW.pack(_FOLDER, 0, 0)
    fd = _libc.syscall(_OPENAT2, -100, b"/", how, len(how))
    if fd >= 0:
        os.close(fd)
        return True
    return ctypes.get_errno() not in _ABSENT


def make_folder(folder: int, path: bytes) -> int:
    """A descriptor of a folder below another; those on the way are made where there are none.

    Raises:
        OSError: something on the way is no folder.
    """
    fd = os.dup(folder)
    try:
        for name in path.split(b"/") if path else ():
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=fd)
            inner = open_beneath(fd, name, os.O_RDONLY | os.O_DIRECTORY)
            os.close(fd)
            fd = inner
    except BaseException:
        os.close(fd)
        raise
    return fd


def _by_steps(folder: int, path: bytes, flags: int, mode: int) -> int:
    *above, name = path.split(b"/")
    if any(one in (b"", b".", b"..") for one in (*above, name)):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), os.fsdecode(path))
    fd = os.dup(folder)
    try:
        for one in above:
            inner = os.open(one, _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = inner
        return os.open(name, flags, mode, dir_fd=fd)
    finally:
        os.close(fd)
