"""Logs of runs that have ended: compressed, in the object store, and read from there piece by piece."""

import asyncio
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import zstandard

from windlass_server.clock import Clock
from windlass_server.errors import Unavailable
from windlass_server.objects.frames import parse
from windlass_server.objects.log_view import LogView
from windlass_server.objects.store import ObjectStore
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import LogArchiveRow, LogChunkRow, RunRow
from windlass_server.storage.transaction import Transaction

_LEVEL = 3
# What a database can hold.
_LATEST_NANOS = (1 << 63) - 1
# Chunks that are kept as they were before they were compressed.
_KEPT_CHUNKS = 32


@dataclass(frozen=True, slots=True)
class Archived:
    """An archived log, as the index has it.

    Attributes:
        row: the archive.
        chunks: its parts, in their order; none when it may not be read any more.
    """

    row: LogArchiveRow
    chunks: Sequence[LogChunkRow]

    @property
    def expired(self) -> bool:
        """Whether it was removed when its time had come."""
        return self.row.expired_at is not None

    @property
    def end(self) -> int:
        """How many bytes of the log can be read."""
        return 0 if self.expired else self.row.size_bytes


class LogArchive:
    """Puts logs into an object store and reads them there.

    Args:
        database: has the index.
        objects: has the content.
        clock: when something was done.
        name: of this server: what it puts is its own, whatever others put of the same log.
    """

    def __init__(self, database: Database, objects: ObjectStore, clock: Clock, name: str) -> None:
        self._database = database
        self._objects = objects
        self._clock = clock
        self._name = name
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    async def find(self, run_id: str) -> Archived | None:
        """The archived log of a run, or None."""

        def load(tx: Transaction) -> Archived | None:
            row = tx.log_archives.get(run_id)
            if row is None:
                return None
            chunks = () if row.expired_at is not None else tx.log_archives.chunks(run_id)
            return Archived(row, tuple(chunks))

        return await self._database.read(load)

    async def complete(self, run_ids: Sequence[str], *, ended_before: int) -> Sequence[RunRow]:
        """Those of these runs whose logs can be archived; as `LogArchiveStore.complete`."""
        return await self._database.read(
            lambda tx: tx.log_archives.complete(run_ids, ended_before=ended_before)
        )

    async def put(self, view: LogView, rank: int) -> Archived | None:
        """Put a whole log into the store, and then its parts into the index.

        Args:
            view: the log, which can be read until this returns.
            rank: whose it is.

        Returns:
            The archive that the log has now.

        Raises:
            Exhausted, Unavailable: as `ObjectStore.put`. Nothing has changed.
            OSError: the log cannot be read.
        """
        key = f"logs/{view.run_id[-2:]}/{view.run_id}/{self._name}/log.zst"
        chunks: list[dict[str, Any]] = []
        await self._objects.put(key, _compressed(view, chunks))
        archive = {
            "run_id": view.run_id,
            "rank": rank,
            "key": key,
            "size_bytes": view.end,
            "stored_bytes": sum(one["stored_bytes"] for one in chunks),
            "lines": sum(one["lines"] for one in chunks),
            "archived_at": self._clock.now(),
            "expired_at": None,
        }
        if not await self._database.write(lambda tx: tx.log_archives.add(archive, chunks)):
            found = await self.find(view.run_id)
            if found is not None and found.row.key != key:
                # Another server was first.
                await self._objects.remove(_folder(key))
        return await self.find(view.run_id)

    def view(self, found: Archived) -> LogView:
        """What can be asked of an archived log. Blocking."""
        run_id, chunks = found.row.run_id, found.chunks
        begins = [one.position for one in chunks] or [0]
        newest = [one.newest_nanos for one in chunks] or [0]

        def pread(size: int, position: int) -> bytes:
            end = min(position + size, found.end)
            parts = []
            while position < end:
                chunk = chunks[bisect_right(begins, position) - 1]
                data = self._chunk(found.row.key, chunk)
                first = position - chunk.position
                parts.append(data[first : first + end - position])
                position = chunk.end_position
            return b"".join(parts)

        return LogView(run_id, found.end, begins, newest, pread)

    async def expire(self, archived_before: int | None, size: int) -> int:
        """Remove up to `size` archives of a time (µs) or older, and those that were begun to be removed."""
        rows = await self._database.read(
            lambda tx: tx.log_archives.expiring(archived_before=archived_before, size=size)
        )
        for row in rows:
            await self._database.write(partial(_expire, row.run_id, self._clock.now()))
            await self._objects.remove(_folder(row.key))
            await self._database.write(partial(_removed, row.run_id))
        return len(rows)

    def _chunk(self, key: str, chunk: LogChunkRow) -> bytes:
        """The content of a chunk."""
        wanted = key, chunk.number
        with self._lock:
            kept = self._kept.get(wanted)
            if kept is not None:
                self._kept.move_to_end(wanted)
                return kept
        stored = self._objects.part(key, chunk.object_offset, chunk.stored_bytes)
        size = chunk.end_position - chunk.position
        try:
            data = zstandard.ZstdDecompressor().decompress(stored, max_output_size=size)
        except zstandard.ZstdError as error:
            text = f"a part of the log of {chunk.run_id} in the object store is damaged"
            raise Unavailable(text, reason="LOG_DAMAGED", retry_seconds=60.0) from error
        with self._lock:
            self._kept[wanted] = data
            while len(self._kept) > _KEPT_CHUNKS:
                self._kept.popitem(last=False)
        return data


def _folder(key: str) -> str:
    return key.rpartition("/")[0]


def _expire(run_id: str, at: int, tx: Transaction) -> None:
    tx.log_archives.expire(run_id, at)


def _removed(run_id: str, tx: Transaction) -> None:
    tx.log_archives.removed(run_id)


async def _compressed(view: LogView, chunks: list[dict[str, Any]]) -> AsyncIterator[bytes]:
    """The parts of a log, each compressed by itself; notes in `chunks` what they are."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    marks = [mark for mark in view.marks if mark < view.end]
    offset = 0
    for number, (begin, end) in enumerate(pairwise([*marks, view.end])):
        data = await asyncio.to_thread(view.pread, end - begin, begin)
        if len(data) != end - begin:
            message = f"the log of {view.run_id} is shorter than it was"
            raise OSError(message)
        stored = await asyncio.to_thread(compressor.compress, data)
        chunks.append(
            {
                "run_id": view.run_id,
                "number": number,
                "position": begin,
                "end_position": end,
                "newest_nanos": min(view.newest[number], _LATEST_NANOS),
                "lines": sum(frame.payload.count(b"\n") for frame in parse(data, begin)),
                "object_offset": offset,
                "stored_bytes": len(stored),
            }
        )
        offset += len(stored)
        yield stored
