"""What nodes have measured, from memory and database together: written, thinned out, read."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from windlass_server.clock import Clock
from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction
from windlass_server.telemetry.levels import (
    FINEST,
    LEVELS,
    MAX_POINTS,
    Level,
    Retention,
    level_for,
    resolution_for,
)
from windlass_server.telemetry.recent import RecentHistory
from windlass_server.telemetry.rollup import Rollup, merge
from windlass_server.telemetry.segments import decode

MAX_BUCKETS = 11_000
# Segments that are decoded without leaving the event loop.
_FEW = 24


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a node's past.

    Attributes:
        fields: numbers of what was measured; None: everything.
        subjects: of what; None: of everything.
        start: the beginning, in microseconds since 1970.
        end: the end, which is not included.
        resolution: at least how wide the buckets shall be, in microseconds; None: as fits.
    """

    fields: frozenset[int] | None
    subjects: frozenset[str] | None
    start: int
    end: int
    resolution: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of it.

    Attributes:
        start: when the first bucket that was asked for begins, in microseconds.
        resolution: how wide the buckets are, in microseconds.
        rollups: the buckets by field.
    """

    start: int
    resolution: int
    rollups: Mapping[int, Rollup]


class TelemetryHistory:
    """Reads the past.

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

    @property
    def retention(self) -> Retention:
        """How long each level is kept."""
        return self._retention

    async def ask(self, node_id: str, question: Question) -> Answer:
        """What a node has measured. InvalidInput for more than an answer can hold."""
        now = self._clock.now()
        span = question.end - question.start
        resolution = resolution_for(span, question.resolution)
        level = level_for(resolution, question.start, now, self._retention)
        resolution = -(-resolution // level.width) * level.width
        if span // resolution > MAX_BUCKETS:
            raise too_many(f"{span // resolution} buckets; an answer has at most {MAX_BUCKETS}")
        start = question.start // resolution * resolution
        async with self._recent.lock(node_id):
            lately = self._recent.of(node_id, question.fields)
            load = _loading(node_id, question.fields, level, start, question.end)
            segments = await self._database.read(load)
        made = partial(_put_together, segments, lately, question, start, resolution)
        rollups = made() if len(segments) <= _FEW else await asyncio.to_thread(made)
        points = sum(len(one.starts) * len(one.subjects) for one in rollups.values())
        if points > MAX_POINTS:
            raise too_many(f"{points} values; an answer has at most {MAX_POINTS}")
        return Answer(start, resolution, rollups)


def _loading(
    node_id: str, fields: Collection[int] | None, level: Level, start: int, end: int
) -> Callable[[Transaction], list[tuple[int, bytes]]]:
    """Segments of the level, and behind what has been made of it, of the finer ones."""

    def load(tx: Transaction) -> list[tuple[int, bytes]]:
        marks = tx.telemetry.marks(node_id)
        found: list[tuple[int, bytes]] = []
        begin = start
        for one in reversed(LEVELS[: level.number + 1]):
            until = min(end, made_until(marks, one.number, end))
            if begin < until:
                first = begin // one.segment * one.segment
                found += tx.telemetry.read(node_id, one.number, fields, first, until - 1)
                begin = until
        return found

    return load


def made_until(marks: Mapping[int, int], level: int, end: int) -> int:
    """Until when a level is complete; without a mark until where the finer one is."""
    while level > FINEST.number:
        if level in marks:
            return marks[level]
        level -= 1
    return end


def _put_together(
    segments: Sequence[tuple[int, bytes]],
    lately: Mapping[int, Rollup],
    question: Question,
    start: int,
    resolution: int,
) -> dict[int, Rollup]:
    parts: dict[int, list[Rollup]] = {}
    for measured, data in segments:
        parts.setdefault(measured, []).append(decode(data))
    for measured, rollup in lately.items():
        parts.setdefault(measured, []).append(rollup)
    rollups = {}
    for measured, some in parts.items():
        cut = [one.between(start, question.end) for one in some]
        if question.subjects is not None:
            cut = [one.of(question.subjects) for one in cut]
        whole = merge(cut, resolution)
        if whole.subjects and len(whole.starts):
            rollups[measured] = whole
    return rollups


def too_many(what: str) -> InvalidInput:
    message = f"that makes {what}: ask for a shorter time, wider buckets or fewer fields"
    violation = FieldViolation("resolution", message, "TOO_MANY_POINTS")
    return InvalidInput(message, reason="TOO_MANY_POINTS", violations=(violation,))
