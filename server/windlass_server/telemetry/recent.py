"""What was measured lately and is not in the database yet, of every node, in memory.

Rows of the last seconds, and behind them finished buckets of the finest level. A node's finished buckets
are written out every five minutes, each node's at a time of its own, so that the database has an even
load; a crash of the server loses as much.
"""

import asyncio
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from windlass_server.clock import Clock
from windlass_server.telemetry.fields import NAMES
from windlass_server.telemetry.levels import FINEST
from windlass_server.telemetry.node_times import EARLY, LATE, in_our_time
from windlass_server.telemetry.readings import Increases, Layout, Readings
from windlass_server.telemetry.rollup import Rollup, Stats, merge, stacked, stats_of

_FLUSH_BUCKETS = 30
FLUSH = _FLUSH_BUCKETS * FINEST.width
"""How long finished buckets wait to be written, in microseconds."""
# What is kept when the database cannot be written; the oldest then go.
_LONGEST_WAIT = 6 * FLUSH


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket's values of one layout, by its columns."""

    start: int
    layout: Layout
    stats: Stats


@dataclass(slots=True)
class _Node:
    phase: int
    flushed: int
    increases: Increases = field(default_factory=Increases)
    rows: dict[int, list[Readings]] = field(default_factory=dict)
    finished: deque[Bucket] = field(default_factory=deque)
    # Held while buckets go from here to the database, and while both are read.
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def flushes(self, now: int) -> int:
        """How many times it had its turn of being written until `now` (µs)."""
        return (now // FINEST.width + self.phase) // _FLUSH_BUCKETS


class RecentHistory:
    """Takes in what nodes measure, and hands it out in buckets of the finest level.

    Args:
        clock: wall time; what a node says of the time is believed within half a minute of it.
        read: given all readings of each node, by the node's clock.
    """

    def __init__(
        self, clock: Clock, read: Callable[[str, Readings], None] = lambda _node_id, _readings: None
    ) -> None:
        self._clock = clock
        self._read = read
        self._nodes: dict[str, _Node] = {}

    def take(self, node_id: str, readings: Readings) -> None:
        """Take in what a node measured."""
        if not readings.layout.keys:
            return
        now = self._clock.now()
        node = self._nodes.get(node_id)
        if node is None:
            node = self._nodes[node_id] = _new_node(node_id, now)
        self._read(node_id, readings)
        buckets = len(node.rows)
        _add(node, in_our_time(node.increases.of(readings), now))
        if len(node.rows) > buckets:
            _finish(node, now)

    def lock(self, node_id: str) -> asyncio.Lock:
        """Held by whoever reads a node's values here and in the database, to see each of them once."""
        node = self._nodes.get(node_id)
        return node.lock if node is not None else asyncio.Lock()

    def of(self, node_id: str, fields: Collection[int] | None) -> dict[int, Rollup]:
        """What is not in the database yet of some fields of a node, or all of them, up to now."""
        node = self._nodes.get(node_id)
        if node is None:
            return {}
        unfinished = [one for start in sorted(node.rows) for one in _buckets(node, start)]
        return rollups_of([*node.finished, *unfinished], fields)

    def due(self, limit: int) -> list[str]:
        """Nodes whose buckets shall be written now; those of which nothing is left are forgotten."""
        now = self._clock.now()
        found = []
        for node_id, node in list(self._nodes.items()):
            _finish(node, now)
            if not node.rows and not node.finished:
                del self._nodes[node_id]
            elif node.finished and node.flushes(now) != node.flushed:
                found.append(node_id)
                if len(found) == limit:
                    break
        return found

    def nodes(self) -> list[str]:
        """Every node of which something is here."""
        return list(self._nodes)

    def finished(self, node_id: str) -> list[Bucket]:
        """A node's finished buckets, the oldest first."""
        return list(self._nodes[node_id].finished)

    def finish_all(self, node_id: str) -> None:
        """Take for finished what is not, as the server stops."""
        node = self._nodes[node_id]
        for start in sorted(node.rows):
            node.finished += _buckets(node, start)
        node.rows.clear()

    def written(self, node_id: str, buckets: Sequence[Bucket]) -> None:
        """Drop finished buckets: they are in the database."""
        node = self._nodes[node_id]
        gone = set(map(id, buckets))
        node.finished = deque(one for one in node.finished if id(one) not in gone)
        node.flushed = node.flushes(self._clock.now())


def _new_node(node_id: str, now: int) -> _Node:
    node = _Node(zlib.crc32(node_id.encode()) % _FLUSH_BUCKETS, 0)
    node.flushed = node.flushes(now)
    return node


def _add(node: _Node, readings: Readings) -> None:
    first, last = (int(time) // FINEST.width * FINEST.width for time in readings.times[[0, -1]])
    if first == last:
        node.rows.setdefault(first, []).append(readings)
        return
    starts = readings.times // FINEST.width * FINEST.width
    for start in np.unique(starts).tolist():
        part = starts == start
        cut = Readings(readings.layout, readings.times[part], readings.rows[part])
        node.rows.setdefault(start, []).append(cut)


def _finish(node: _Node, now: int) -> None:
    """Finish the buckets to which nothing comes any more."""
    behind = now - LATE - FINEST.width
    # Before them, too, and behind them: the server's own clock may have been set.
    done = [start for start in node.rows if not behind < start <= now + EARLY]
    for start in sorted(done):
        node.finished += _buckets(node, start)
        del node.rows[start]
    while node.finished and node.finished[0].start < now - _LONGEST_WAIT:
        node.finished.popleft()


def _buckets(node: _Node, start: int) -> Iterator[Bucket]:
    """What there is of a bucket, of each layout."""
    all_readings = node.rows[start]
    layouts = {id(one.layout): one.layout for one in all_readings}
    for layout in layouts.values():
        same = [one for one in all_readings if one.layout is layout]
        times = np.concatenate([one.times for one in same])
        rows = np.concatenate([one.rows for one in same])
        if np.any(times[1:] < times[:-1]):
            rows = rows[np.argsort(times, kind="stable")]
        yield Bucket(start, layout, stats_of(rows))


def rollups_of(
    buckets: Iterable[Bucket], fields: Collection[int] | None = None
) -> dict[int, Rollup]:
    """Buckets by field; None: of every field."""
    by_layout: dict[int, list[Bucket]] = {}
    for bucket in buckets:
        by_layout.setdefault(id(bucket.layout), []).append(bucket)
    parts: dict[int, list[Rollup]] = {}
    for same in by_layout.values():
        starts = np.array([one.start for one in same], dtype=np.int64)
        whole = Rollup(same[0].layout.subjects, starts, stacked([one.stats for one in same]))
        for measured, places in same[0].layout.fields.items():
            if measured in NAMES and (fields is None or measured in fields):
                parts.setdefault(measured, []).append(whole.at(places))
    return {measured: merge(some, FINEST.width) for measured, some in parts.items()}
