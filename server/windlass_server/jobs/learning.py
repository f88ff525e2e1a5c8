"""How long jobs run, learned from those of the same user, project and name that have run.

The last runs of each are kept, not the sums of all: what has changed is believed soon. Runs count that did
what they were to do, and those that were ended by their time limit.
"""

import struct
from collections import deque
from collections.abc import Iterable
from typing import Any

from windlass_server.clock import Clock
from windlass_server.scheduler.estimates import RUNS_REMEMBERED, run_time
from windlass_server.scheduler.snapshot import RunTime
from windlass_server.storage.engine import Database
from windlass_server.storage.run_times import Key
from windlass_server.storage.tables import RunTimeRow
from windlass_server.storage.transaction import Transaction

# Names that are remembered of a user in a project, and in this process of all.
_NAMES = 200
_REMEMBERED = 50_000
# Ends that are learned from in one transaction.
_AT_ONCE = 500
# Ends that were noted since may still be followed by older ones, and changes that were made (µs).
_SETTLED = 5_000_000


class Learning:
    """Learns from runs that have ended; of several servers one at a time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def cycle(self) -> None:
        """Learn from all that have ended since the last time."""
        until = self._clock.now() - _SETTLED
        while await self._database.write(lambda tx: self._learn(tx, until)) == _AT_ONCE:
            pass

    def _learn(self, tx: Transaction, until: int) -> int:
        runs = tx.run_times.ended(tx.run_times.lock_mark(), until, _AT_ONCE)
        news: dict[Key, list[int]] = {}
        for run in runs:
            if run.counts:
                key = Key(run.project, run.user, run.name)
                news.setdefault(key, []).append(max(run.took, 0))
        known = {_key(row): row for row in tx.run_times.of(news)}
        for key, took in news.items():
            before = unpacked(known[key].durations) if key in known else []
            durations = deque([*before, *took], maxlen=RUNS_REMEMBERED)
            tx.run_times.put(key, packed(durations), self._clock.now())
        for project, user in {key[:2] for key in news.keys() - known.keys()}:
            tx.run_times.keep_newest(project, user, _NAMES)
        if runs:
            tx.run_times.set_mark(runs[-1].end_noted_at, runs[-1].run_id)
        return len(runs)


class Learned:
    """What was learned, remembered; each transaction looks only for what is new."""

    def __init__(self) -> None:
        self._known: dict[Key, RunTime | None] = {}
        self._seen = 0

    def load(self, tx: Transaction, whose: Iterable[tuple[str, str, str]]) -> None:
        """Make sure that what is known of these is known here."""
        if len(self._known) > _REMEMBERED:
            self._known = {}
        for row in tx.run_times.changed(max(self._seen - _SETTLED, 0)) if self._known else ():
            self._remember(row)
        missing = {key for each in whose if (key := Key(*each)) not in self._known}
        if missing:
            self._known |= dict.fromkeys(missing)
            for row in tx.run_times.of(missing):
                self._remember(row)

    def of(self, project: str, user: str, name: str) -> RunTime | None:
        """How long a user's jobs of a name have run in a project; None: nobody knows."""
        return self._known.get(Key(project, user, name))

    def _remember(self, row: RunTimeRow) -> None:
        self._seen = max(self._seen, row.changed_at)
        if _key(row) in self._known:
            self._known[_key(row)] = run_time(unpacked(row.durations))


def packed(durations: Iterable[int]) -> bytes:
    """As they are stored."""
    return b"".join(struct.pack(">q", each) for each in durations)


def unpacked(stored: bytes) -> list[int]:
    """As they were before they were stored."""
    return [each for (each,) in struct.iter_unpack(">q", stored)]


def _key(row: Any) -> Key:
    return Key(row.project, row.user, row.name)
