"""What owners had lately, added up run by run, beside what is kept of it."""

import math
from collections import Counter

from tests.support.scheduled_world import ScheduledWorld
from windlass_server.resources.recent_usage import RecentUsage, rate_of
from windlass_server.scheduler.fair_share import Account, decayed
from windlass_server.storage.transaction import Transaction
from windlass_server.storage.usage import HeldFilter


def from_the_rows(tx: Transaction, now: int, half_life: int) -> dict[Account, float]:
    """The decayed mean of what each holder of the ledger held, one by one."""
    had: dict[Account, float] = {}
    between = {"start": 0, "end": now + 1}
    for row in (
        *tx.usage.held_by_runs(HeldFilter(), labels=(), **between),
        *tx.usage.held_by_allocations(HeldFilter(), **between),
    ):
        end = now if row.active else max(row.end, row.start)
        value = decayed(0.0, rate_of(row), end - row.start, half_life)
        account = row.project, row.user
        had[account] = had.get(account, 0.0) + decayed(value, 0, now - end, half_life)
    return {account: value * math.log(2) / half_life for account, value in had.items()}


async def require_right(world: ScheduledWorld, usage: RecentUsage, half_life: int) -> None:
    """What is kept is what the rows of the ledger come to."""
    shares = await usage.look({half_life})
    now = world.clock.now()
    expected = await world.database.read(lambda tx: from_the_rows(tx, now, half_life))
    found = shares.lately[half_life]
    for account in expected.keys() | found.keys():
        assert math.isclose(
            found.get(account, 0.0), expected.get(account, 0.0), rel_tol=1e-6, abs_tol=1.0
        ), account
    held = await world.database.read(lambda tx: tx.charges.held())
    rates: Counter[Account] = Counter()
    for row in held:
        rates[row.project, row.user] += rate_of(row)
    assert dict(shares.now) == rates
