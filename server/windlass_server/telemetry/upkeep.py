"""Keeps the past in shape: writes what is finished, makes coarser levels, removes what is old."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import TelemetryMarkRow
from windlass_server.storage.transaction import Transaction
from windlass_server.telemetry.levels import FINEST, LEVELS, Level, Retention
from windlass_server.telemetry.recent import FLUSH, RecentHistory, rollups_of
from windlass_server.telemetry.rollup import Rollup, merge
from windlass_server.telemetry.segments import decode, encode

_log = logging.getLogger(__name__)

# How much is done in one cycle, so that no cycle holds up others for long.
_NODES_WRITTEN = 20
_PERIODS_MADE = 8
_SEGMENTS_REMOVED = 500
# When all that belongs to a period has been written, with time to spare.
_GRACE = FLUSH + 300 * MICROS_PER_SECOND

Segments = Sequence[Mapping[str, Any]]


class TelemetryUpkeep:
    """One look at what there is to do.

    Args:
        recent: what is not in the database yet.
        retention: how long each level is kept.
    """

    def __init__(
        self, database: Database, recent: RecentHistory, clock: Clock, retention: Retention
    ) -> None:
        self._database = database
        self._recent = recent
        self._clock = clock
        self._retention = retention

    async def cycle(self) -> None:
        """Do a part of what there is to do."""
        due = self._recent.due(_NODES_WRITTEN)
        await asyncio.gather(*(self._write(node_id) for node_id in due))
        if not await self._make_levels():
            await self._remove_old()

    async def stop(self) -> None:
        """Write all there is, as the server stops; what cannot be written is lost."""
        try:
            for node_id in self._recent.nodes():
                self._recent.finish_all(node_id)
                await self._write(node_id)
        except Exception:
            _log.exception("the last minutes of telemetry cannot be written")

    async def _write(self, node_id: str) -> None:
        """Bring a node's finished buckets to the database."""
        async with self._recent.lock(node_id):
            buckets = self._recent.finished(node_id)
            segments = _segments(node_id, FINEST, rollups_of(buckets))
            # A node of which much is written holds nobody up.
            await asyncio.sleep(0)
            if segments:
                await self._database.write(_adding(node_id, FINEST, segments))
            self._recent.written(node_id, buckets)

    async def _make_levels(self) -> bool:
        """Make coarser buckets of some periods that are over; returns whether there were any."""
        some = False
        for level in LEVELS[1:]:
            before = self._clock.now() - level.period - _GRACE
            due = await self._database.read(
                lambda tx, level=level, before=before: _due(tx, level, before)  # type: ignore[misc]
            )
            for mark in due:
                some = True
                await self.make(level, mark)
        return some

    async def make(self, level: Level, mark: TelemetryMarkRow) -> None:
        """Make the period that begins at a mark, unless another server has made it meanwhile."""
        node_id, start = mark.node_id, mark.made_until
        finer = LEVELS[level.number - 1]
        parts = await self._database.read(
            lambda tx: tx.telemetry.read(
                node_id, finer.number, None, start, start + level.period - 1
            )
        )
        segments = await asyncio.to_thread(_coarser, node_id, level, parts)

        def store(tx: Transaction) -> None:
            if not tx.telemetry.is_at(node_id, level.number, start):
                return
            behind = tx.telemetry.first_start(node_id, finer.number, start + level.period)
            to = None if behind is None else behind // level.period * level.period
            tx.telemetry.advance(node_id, level.number, to)
            if segments:
                _adding(node_id, level, segments)(tx)

        await self._database.write(store)

    async def _remove_old(self) -> None:
        now = self._clock.now()
        for level in LEVELS:
            before = now - self._retention.micros[level.number] - level.segment
            old = await self._database.read(_oldest(level, before))
            if old:
                await self._database.write(_removing(old))


def _oldest(level: Level, before: int) -> Callable[[Transaction], Sequence[int]]:
    return lambda tx: tx.telemetry.oldest(level.number, before, _SEGMENTS_REMOVED)


def _removing(segment_ids: Sequence[int]) -> Callable[[Transaction], None]:
    return lambda tx: tx.telemetry.remove(segment_ids)


def _due(tx: Transaction, level: Level, before: int) -> list[TelemetryMarkRow]:
    """Marks whose period is over and whole in the finer level."""
    found = tx.telemetry.due(level.number, before, _PERIODS_MADE)
    whole = []
    for mark in found:
        finer = tx.telemetry.marks(mark.node_id).get(level.number - 1)
        if finer is None or finer >= mark.made_until + level.period:
            whole.append(mark)
    return whole


def _adding(node_id: str, level: Level, segments: Segments) -> Callable[[Transaction], None]:
    """Adds segments, and notes that coarser ones are to be made of them."""

    def add(tx: Transaction) -> None:
        tx.telemetry.add(segments)
        if level is not LEVELS[-1]:
            period = LEVELS[level.number + 1].period
            first = min(segment["start_at"] for segment in segments)
            tx.telemetry.mark(node_id, level.number + 1, first // period * period)

    return add


def _coarser(node_id: str, level: Level, parts: Sequence[tuple[int, bytes]]) -> Segments:
    by_field: dict[int, list[Rollup]] = {}
    for measured, data in parts:
        by_field.setdefault(measured, []).append(decode(data))
    rollups = {measured: merge(some, level.width) for measured, some in by_field.items()}
    return _segments(node_id, level, rollups)


def _segments(node_id: str, level: Level, rollups: Mapping[int, Rollup]) -> list[dict[str, Any]]:
    """Rows of the database, each within one of the level's segments."""
    rows = []
    for measured, rollup in rollups.items():
        begins = sorted(
            {start // level.segment * level.segment for start in rollup.starts.tolist()}
        )
        for begin in begins:
            part = rollup.between(begin, begin + level.segment)
            rows.append(
                {
                    "node_id": node_id,
                    "field": measured,
                    "level": level.number,
                    "start_at": int(part.starts[0]),
                    "data": encode(part),
                }
            )
    return rows
