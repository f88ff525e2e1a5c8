"""Brings the archive of a task to this node, and unpacks it into the task's private directory."""

# The stubs are generic for the type checker alone.
from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

import structlog

from windlass.agents.v1 import agents_service_pb2_grpc, preparation_pb2
from windlass_agent import archives
from windlass_agent.archives import ArchiveRefused
from windlass_agent.run_types import RunRequest
from windlass_agent.server_calls import Metadata, Refused, ServerCalls

if TYPE_CHECKING:
    from collections.abc import Callable

_log = structlog.get_logger(__name__)

# Room that is left to everything else on the disk.
_SPARE_BYTES = 256 << 20


class BadArchive(str):
    """Why an archive cannot be unpacked, on this node or another."""

    __slots__ = ()


class Sources(Protocol):
    """What the runner needs."""

    async def bring(self, run: RunRequest, file: Path, folder: Path) -> str:
        """Unpack a run's archive into an empty folder; what went wrong, nothing when all is well.

        Args:
            run: the run.
            file: where the archive lies meanwhile; it is gone at the end.
            folder: where its content goes.

        Returns:
            A `BadArchive` when it is the archive's fault.
        """
        ...


class SourceKeeper(ServerCalls):
    """Asks the server for archives, once it is said where that is."""

    async def bring(self, run: RunRequest, file: Path, folder: Path) -> str:
        """As `Sources.bring`. Waits for a server that is not there."""
        try:
            await self._fetch(run, file)
            unpacked = await _on_thread(lambda stop: _unpack(file, folder, stop))
        except ArchiveRefused as error:
            return BadArchive(f"The archive cannot be unpacked ({error.reason}): {error}.")
        except (OSError, Refused) as error:
            _log.error("an archive is not brought", run_id=run.run_id, why=str(error))
            return f"The archive could not be brought here: {error}."
        finally:
            with contextlib.suppress(OSError):
                os.unlink(file)  # noqa: PTH108
        _log.info("archive unpacked", run_id=run.run_id, files=unpacked.files, size=unpacked.size)
        return ""

    async def _fetch(self, run: RunRequest, file: Path) -> None:
        digest, wanted, size = hashlib.sha256(), b"", 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(file, flags, 0o600)

        async def fetch(
            stub: agents_service_pb2_grpc.AgentsServiceAsyncStub, who: Metadata
        ) -> None:
            nonlocal wanted, size
            asked = preparation_pb2.DownloadSourceRequest(
                run_id=run.run_id, epoch=run.epoch, offset=size
            )
            async for part in stub.DownloadSource(asked, metadata=who):
                if part.sha256:
                    wanted = part.sha256
                    _require_room(file, part.size_bytes)
                await asyncio.to_thread(_write, fd, part.data)
                digest.update(part.data)
                size += len(part.data)

        try:
            await self.call(fetch)
        finally:
            os.close(fd)
        if digest.digest() != wanted:
            raise Refused("what came is not what it was")


async def _on_thread(work: Callable[[threading.Event], archives.Unpacked]) -> archives.Unpacked:
    """The answer of work on a thread, which has ended when this returns, also by a cancel."""
    stop = threading.Event()
    working = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([working])
        raise


def _unpack(file: Path, folder: Path, stop: threading.Event) -> archives.Unpacked:
    with file.open("rb") as archive:
        # A reader that ends when nobody waits for it any more.
        return archives.unpack(cast("BinaryIO", _Stoppable(archive, stop)), folder)


class _Stoppable:
    """A file that cannot be read any more once it is said so."""

    def __init__(self, file: BinaryIO, stop: threading.Event) -> None:
        self._file = file
        self._stop = stop

    def read(self, size: int = -1) -> bytes:
        """As of a file."""
        if self._stop.is_set():
            raise InterruptedError
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of a file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of a file."""
        return self._file.tell()

    def seekable(self) -> bool:
        """As of a file."""
        return True


def _require_room(file: Path, size: int) -> None:
    free = shutil.disk_usage(file.parent).free
    if free < size + _SPARE_BYTES:
        raise Refused(f"it has {size} bytes, and the node's disk has {free}")


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
