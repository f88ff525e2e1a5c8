"""Logs of runs: appended by their nodes' streams, read and followed by people."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import TypeVar

from windlass_server.errors import InvalidInput
from windlass_server.hub import EventHub
from windlass_server.objects.frames import Chunk, Frame, Place, as_text, chunks
from windlass_server.objects.log_archive import LogArchive
from windlass_server.objects.log_files import Batch, LogFiles, LogRefused
from windlass_server.objects.log_lines import Held, Lines, Matcher
from windlass_server.objects.log_view import Limits, LogView

__all__ = ["Chunk", "Frame", "LogRefused", "LogStore", "Place", "as_text", "chunks"]

T = TypeVar("T")

# Batches that share one turn of the writer, so that the first of them does not wait for ever.
_MAX_GROUP = 64
_READ_BYTES = 256 << 10
# Reads that are kept for those who read the same: followers of one log want it all at once.
_KEPT_READS = 16
# A log that was not found in the archive is looked for there again, while there is nothing of it here.
_LOOK_AGAIN_SECONDS = 1.0
_REMEMBERED = 16_384


@dataclass(frozen=True, slots=True)
class _Pending:
    """A batch that waits for the writer."""

    batch: Batch
    done: asyncio.Future[int]


@dataclass(frozen=True, slots=True)
class _Range:
    """What is read of a log that has so many bytes."""

    run_id: str
    position: int
    end: int
    max_bytes: int


class LogStore:
    """The logs of all runs, on this machine's disk. Nothing here blocks the event loop.

    Args:
        directory: where the logs lie; made when it is missing.
        hub: told of the run whose log has grown.
        archive: where logs are that are not here, and go when their runs have ended; None for none.
    """

    def __init__(self, directory: Path, hub: EventHub, archive: LogArchive | None = None) -> None:
        self._files = LogFiles(directory)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="logs-write")
        self._readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="logs-read")
        # What may take long, so that nobody who follows a log waits for it.
        self._searchers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="logs-search")
        self._pending: list[_Pending] = []
        self._flush: asyncio.Task[None] | None = None
        self._hub = hub
        self._archive = archive
        # Logs that were not in the archive when they were looked for, and when that was.
        self._not_archived: OrderedDict[str, float] = OrderedDict()
        self._kept: dict[_Range, asyncio.Task[list[Frame]]] = {}

    async def append(self, run_id: str, position: int, frames: bytes) -> int:
        """Add whole frames to a run's log; returns when they are on disk.

        Args:
            run_id: the run.
            position: where the first byte belongs; what the log already has is skipped.
            frames: whole frames, at most 1 MiB; none asks for the end.

        Returns:
            How many bytes the log holds.

        Raises:
            LogRefused: `position` is behind the end (`LOG_GAP`), or these are no whole frames
                (`LOG_BAD_FRAMES`); its `end` says what the log holds. Nothing was changed.
            InvalidInput: that is no run's id.
            OSError: the disk refused, for example because it is full.
        """
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pending.append(_Pending(Batch(run_id, position, frames), done))
        if self._flush is None:
            self._flush = asyncio.create_task(self._write_groups(), name="log-writer")
        return await done

    async def end(self, run_id: str, *, may_be_archived: bool = True) -> int:
        """How many bytes of a run's log are on disk or archived; 0 when there is none.

        Args:
            run_id: the run.
            may_be_archived: False for a run that ran until now, whose log is not looked for there.
        """
        if may_be_archived:
            await self._find([run_id])
        known = self._files.known_end(run_id)
        return await self._read(lambda: self._files.end(run_id)) if known is None else known

    async def read(
        self, run_id: str, position: int = 0, max_bytes: int = _READ_BYTES
    ) -> Sequence[Frame]:
        """The frames from a boundary on, about `max_bytes` and at least one; none at the end.

        Raises:
            InvalidInput: `position` is no boundary of this log (`LOG_POSITION_INVALID`), or that is
                no run's id.
        """
        await self._find([run_id])
        end = self._files.known_end(run_id)
        if end is None:
            return await self._read(lambda: self._files.read(run_id, position, max_bytes))
        if position == end:
            return []
        # What lies before the end never changes.
        wanted = _Range(run_id, position, end, max_bytes)
        reading = self._kept.get(wanted)
        if reading is None:
            reading = asyncio.create_task(
                self._read(
                    lambda: self._files.read(run_id, position, max_bytes),
                    long=self._files.is_archived(run_id),
                )
            )
            self._kept[wanted] = reading
            reading.add_done_callback(lambda done: self._keep(wanted, done))
        if reading.done():
            return reading.result()
        # Shielded: whoever reads the same does not lose it when this reader leaves.
        return await asyncio.shield(reading)

    def _keep(self, wanted: _Range, done: "asyncio.Task[list[Frame]]") -> None:
        if done.cancelled() or done.exception() is not None:
            self._kept.pop(wanted, None)
        while len(self._kept) > _KEPT_READS:
            del self._kept[next(iter(self._kept))]

    async def has_place(self, run_id: str, place: Place) -> bool:
        """Whether a reader can go on there; false for a place that this log never gave out."""
        return await self._view(run_id, lambda view: view.has_place(place))

    async def held(self, run_id: str, place: Place) -> Held:
        """As `LogView.held`."""
        if not any(place.held):
            return Held()
        return await self._view(run_id, lambda view: view.held(place))

    async def since(self, run_id: str, time_nanos: int) -> int:
        """As `LogView.since`."""
        return await self._view(run_id, lambda view: view.since(time_nanos))

    async def tail(
        self, run_id: str, lines: int, stream: int = 0, before: int | None = None
    ) -> Place:
        """As `LogView.tail`."""
        return await self._view(run_id, lambda view: view.tail(lines, stream, before))

    async def tail_matching(
        self, run_id: str, lines: int, matcher: Matcher, limits: Limits
    ) -> Place:
        """As `LogView.tail_matching`."""
        return await self._view(
            run_id, lambda view: view.tail_matching(lines, matcher, limits), long=True
        )

    async def lines(
        self, run_id: str, place: Place, reader: Lines, until: int | None
    ) -> tuple[list[Chunk], Place, bool]:
        """As `LogView.lines`, of what is read at once."""
        if place.position == self._files.known_end(run_id):
            return [], place, False
        return await self._view(run_id, lambda view: view.lines(place, reader, _READ_BYTES, until))

    async def run_ids(self) -> list[str]:
        """The runs whose logs are on this machine's disk."""
        return await self._read(self._files.run_ids)

    async def archive(self, run_id: str, rank: int, least: int) -> None:
        """Move a log that grows no more from the disk into the archive, if it is all here.

        What is here of a log that another server has archived is removed.

        Args:
            run_id: the run.
            rank: which one it is of its job.
            least: how many bytes the whole log has at least.

        Raises:
            Exhausted, Unavailable, OSError: as `LogArchive.put`. The log is where it was.
        """
        assert self._archive is not None
        await self.end(run_id)
        with self._files.view(run_id) as view:
            found = await self._archive.find(run_id)
            if found is None and view.end >= max(least, 1):
                found = await self._archive.put(view, rank)
        # What of a log that nodes have lost is here and nowhere else stays.
        if found is not None and (found.expired or found.end >= view.end):
            moved = self._archive.view(found)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._writer, self._files.retire, moved)

    async def is_expired(self, run_id: str) -> bool:
        """Whether a log was removed when its time had come."""
        found = await self._archive.find(run_id) if self._archive else None
        return found is not None and found.expired

    def wake(self, run_id: str) -> None:
        """Make every follower of the log look again, as when its run has ended."""
        self._hub.tell((run_id,))

    async def close(self) -> None:
        """Write what waits, then close."""
        if self._flush is not None:
            await self._flush
        self._writer.shutdown()
        self._readers.shutdown()
        self._searchers.shutdown()
        self._files.close()

    async def _view(self, run_id: str, work: Callable[[LogView], T], *, long: bool = False) -> T:
        def look() -> T:
            with self._files.view(run_id) as view:
                return work(view)

        await self._find([run_id])
        return await self._read(look, long=long or self._files.is_archived(run_id))

    async def _find(self, run_ids: Sequence[str]) -> None:
        """Know of each of these logs where it is, if it is in the archive and not here."""
        if self._archive is None:
            return
        now = asyncio.get_running_loop().time()
        for run_id in run_ids:
            # Another server may have archived a log of which there is nothing here.
            looked = now - self._not_archived.get(run_id, -inf) < _LOOK_AGAIN_SECONDS
            if self._files.known_end(run_id) or looked:
                continue
            if await self._read(partial(self._files.has_file, run_id)):
                continue
            found = await self._archive.find(run_id)
            if found is not None:
                self._files.know_archived(self._archive.view(found))
                continue
            self._not_archived[run_id] = now
            if len(self._not_archived) > _REMEMBERED:
                self._not_archived.popitem(last=False)

    async def _read(self, work: Callable[[], T], *, long: bool = False) -> T:
        pool = self._searchers if long else self._readers
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    async def _find_safely(self, batches: Sequence[Batch]) -> None:
        """As `_find`; what is no id of a run is refused by who writes it."""
        for run_id in {batch.run_id for batch in batches}:
            with suppress(InvalidInput):
                await self._find([run_id])

    async def _write_groups(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending:
            group, self._pending = self._pending[:_MAX_GROUP], self._pending[_MAX_GROUP:]
            batches = [pending.batch for pending in group]
            outcomes: Sequence[int | Exception]
            try:
                await self._find_safely(batches)
                outcomes = await loop.run_in_executor(self._writer, self._files.append, batches)
            except Exception as error:
                outcomes = [error] * len(group)
            for pending, outcome in zip(group, outcomes, strict=True):
                _tell(pending.done, outcome)
            for run_id in {batch.run_id for batch in batches if batch.frames}:
                self.wake(run_id)
        self._flush = None


def _tell(done: asyncio.Future[int], outcome: int | Exception) -> None:
    if done.done():
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
    else:
        done.set_result(outcome)
