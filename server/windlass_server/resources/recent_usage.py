"""What projects and users had lately, for the order of jobs: read once, then kept up with what changes.

The truth are the rows of runs and allocations, as for the ledger (`ledger.py`), and nothing else is stored.
A look reads what was taken and given back since the last one, and what it costs depends on that
alone. Other servers write such rows too, and not quite in the order of their times; so each look goes back a
little, and now and then all that is held is compared. What is read twice counts once.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.ids import first_id
from windlass_server.scheduler.fair_share import (
    GPU,
    NO_SHARES,
    Account,
    Shares,
    Tally,
    charge,
    part_of_card,
)
from windlass_server.scheduler.snapshot import WHOLE
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction

HALF_LIVES = 10
"""What is older counts for less than a thousandth, and is not read."""
MOST_READ = 200_000
"""Runs, and allocations, of the past that are read at most: those that ended last."""

# How far a look goes back behind the last one, for what is written in another order than its times.
_BACK = 2 * MICROS_PER_SECOND
# After how long all that is held is compared.
_COMPARED = 300 * MICROS_PER_SECOND
# After how long without a look there may be much to read.
_LONG = 60 * MICROS_PER_SECOND

# How much is counted before others get their turn: a millisecond or two.
_NOTED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class _News:
    """Rows of `ChargeStore`: of what is held, and of what is held no more."""

    held: Sequence[Any]
    over: Sequence[Any]


class RecentUsage:
    """Decayed usage of each user of each project, by half-life."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._forget(())

    def _forget(self, half_lives: Iterable[int]) -> None:
        self._tallies = {each: Tally(each) for each in half_lives}
        # What is held; and what was given back, with when, as long as it is read again.
        self._held: dict[str, tuple[Account, int]] = {}
        self._over: dict[str, int] = {}
        self._seen_at = 0
        self._compared_at = 0

    async def look(self, half_lives: Collection[int]) -> Shares:
        """What everybody had by these half-lives (µs), and has, as of now."""
        if not half_lives:
            return NO_SHARES
        async with self._one_at_a_time:
            now = self._clock.now()
            if any(each not in self._tallies for each in half_lives):
                self._forget({*self._tallies, *half_lives})
            await self._note(await self._news(now))
            self._seen_at = max(self._seen_at, now)
            # Whatever ended before is not read again.
            again = self._seen_at - _BACK
            self._over = {one: end for one, end in self._over.items() if end >= again}
        lately = {each: self._tallies[each].lately(now) for each in half_lives}
        return Shares(lately, next(iter(self._tallies.values())).now())

    async def _news(self, now: int) -> _News:
        """What was taken and given back since the last look; at the first one all that counts."""
        since = self._seen_at - _BACK
        if not self._seen_at:
            since = now - HALF_LIVES * max(self._tallies)
        long_ago = now > self._seen_at + _LONG
        # Behind a clock that was set back nothing is in the order of its times.
        compare = long_ago or now < self._seen_at or now > self._compared_at + _COMPARED

        def load(tx: Transaction) -> _News:
            over = [*tx.charges.given_back(since, MOST_READ)]
            if not compare:
                taken = tx.charges.taken(first_id("run", since), first_id("alloc", since))
                return _News(taken, over)
            held = tx.charges.held()
            missing = self._held.keys() - {row.holder_id for row in (*held, *over)}
            return _News(held, [*over, *tx.charges.of(sorted(missing))])

        news = await self._database.read(load, long=long_ago)
        if compare:
            self._compared_at = now
        return news

    async def _note(self, news: _News) -> None:
        for number, row in enumerate(news.over, 1):
            if row.holder_id not in self._over:
                self._note_end(row)
            if not number % _NOTED_AT_ONCE:
                await asyncio.sleep(0)
        for row in news.held:
            if row.holder_id not in self._held and row.holder_id not in self._over:
                account, rate = (row.project, row.user), rate_of(row)
                self._held[row.holder_id] = account, rate
                for tally in self._tallies.values():
                    tally.opened(account, rate, row.start)

    def _note_end(self, row: Any) -> None:
        # Its server's clock may have been set back in between: then it was held for no time.
        end = max(row.start, row.end)
        self._over[row.holder_id] = row.end
        known = self._held.pop(row.holder_id, None)
        for tally in self._tallies.values():
            if known is None:
                tally.held((row.project, row.user), rate_of(row), row.start, end)
            else:
                tally.closed(*known, end)


def rate_of(row: Any) -> int:
    """What a run or an allocation holds, in millionths of a GPU, as usage counts."""
    count = row.gpu_uuids.count(",") + 1 if row.gpu_uuids else 0
    if not count:
        gpus = 0
    elif row.gpu_millis:
        gpus = count * row.gpu_millis * (GPU // WHOLE)
    elif row.gpu_types:
        gpus = sum(map(part_of_card, row.gpu_types.split(",")))
    else:
        # From before types were noted.
        gpus = count * GPU
    return charge(gpus, row.cpu_millis, row.memory_bytes)
