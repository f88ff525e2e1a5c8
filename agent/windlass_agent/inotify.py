"""inotify(7) for an event loop: learns of files at once, without polling."""

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path

IN_MODIFY = 0x00000002
IN_CREATE = 0x00000100
IN_MOVED_TO = 0x00000080
IN_Q_OVERFLOW = 0x00004000
IN_IGNORED = 0x00008000
IN_ONESHOT = 0x80000000

_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """One inotify instance and who is to be told what.

    Raises:
        OSError: If the kernel has no more instances to give.
    """

    def __init__(self) -> None:
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"inotify: {os.strerror(number)}")
        self._listeners: dict[int, Callable[[str], None]] = {}
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def watch(self, path: Path, mask: int, listener: Callable[[str], None]) -> int:
        """Call `listener` with the name of the file for each event; returns the watch's number.

        After the kernel had to drop events the listener gets an empty name: look at everything.

        Raises:
            OSError: If the path is absent or the kernel has no more watches to give.
        """
        watch = int(_libc.inotify_add_watch(self._fd, os.fsencode(path), ctypes.c_uint32(mask)))
        if watch < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"inotify on {path}: {os.strerror(number)}")
        self._listeners[watch] = listener
        return watch

    def forget(self, watch: int) -> None:
        """End a watch; one that has ended already is fine."""
        if self._listeners.pop(watch, None):
            _libc.inotify_rm_watch(self._fd, watch)

    def close(self) -> None:
        """End all watches."""
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
        self._listeners.clear()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        position = 0
        while position < len(data):
            watch, mask, _, length = _EVENT.unpack_from(data, position)
            position += _EVENT.size
            name = data[position : position + length].rstrip(b"\0")
            position += length
            self._tell(watch, mask, os.fsdecode(name))

    def _tell(self, watch: int, mask: int, name: str) -> None:
        if mask & IN_Q_OVERFLOW:
            for listener in list(self._listeners.values()):
                listener("")
        elif mask & IN_IGNORED:
            self._listeners.pop(watch, None)
        elif listener_of := self._listeners.get(watch):
            listener_of(name)
