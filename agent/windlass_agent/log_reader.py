"""Reads the log of a run while it grows."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from windlass_agent.frames import HEADER, whole_length
from windlass_agent.inotify import IN_MODIFY, IN_ONESHOT, Inotify

_LOOK_AGAIN_SECONDS = 0.05


class LogReader:
    """Reads a run's log in whole frames. See `LogBatch` in agent.proto for the format.

    Args:
        path: The log; it need not exist yet.
        inotify: Tells of growth; None makes `wait` look every 50 ms.
        log_end: Length of the complete log; None while it may grow.
    """

    def __init__(
        self, path: Path, inotify: Inotify | None, log_end: Callable[[], int | None]
    ) -> None:
        self._path = path
        self._inotify = inotify
        self._log_end = log_end
        self._fd = -1
        self._grown = asyncio.Event()

    def read(self, position: int, max_bytes: int = 1 << 20) -> bytes:
        """Whole frames from `position` (a frame's first byte), at most `max_bytes`; b"" if none.

        A single frame has at most 64 KiB + 13 bytes; `max_bytes` must not be less.

        Raises:
            OSError: The file is there and cannot be read now.
        """
        if not self._open():
            return b""
        data = os.pread(self._fd, max_bytes, position)
        return data[: whole_length(data)]

    async def wait(self, position: int) -> bool:
        """Wait until the log is longer than `position` (True), or complete and not (False).

        A log that should be longer, because its run has ended, counts as if it were.

        Raises:
            OSError: The file is there and cannot be read now.
        """
        while not self._has_frame(position):
            end = self._log_end()
            if end is not None:
                return end > position
            self._grown.clear()
            self._watch()
            # It may have grown before the watch was there.
            if not self._has_frame(position) and self._log_end() is None:
                await self._pause()
        return True

    def wake(self) -> None:
        """Have `wait` look again; the runner calls this when the run's state changes."""
        self._grown.set()

    def close(self) -> None:
        """Give the file back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> bool:
        if self._fd < 0:
            with contextlib.suppress(FileNotFoundError):
                self._fd = os.open(self._path, os.O_RDONLY)
        return self._fd >= 0

    def _has_frame(self, position: int) -> bool:
        if not self._open():
            return False
        header = os.pread(self._fd, HEADER.size, position)
        if len(header) < HEADER.size:
            return False
        length: int = HEADER.unpack(header)[2]
        return position + HEADER.size + length <= os.fstat(self._fd).st_size

    def _watch(self) -> None:
        if self._inotify and self._fd >= 0:
            with contextlib.suppress(OSError):
                self._inotify.watch(self._path, IN_MODIFY | IN_ONESHOT, lambda _: self.wake())

    async def _pause(self) -> None:
        patience = None if self._inotify else _LOOK_AGAIN_SECONDS
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._grown.wait(), patience)
