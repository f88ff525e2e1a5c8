"""Keeps what holders use: tells the meter who holds what, and stores what it has added up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from windlass_server.clock import Clock
from windlass_server.resources.price_book import WHOLE_GPU
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction
from windlass_server.telemetry.meter import Hold, Measured, Place, UsageMeter

_STORED_EVERY_SECONDS = 60.0
# Sums that are stored at once, between which others have their turn.
_AT_ONCE = 500


class UsageMetering:
    """A look at who holds what, and once a minute a look at what has been added up.

    What was measured since then is not known after a crash.
    """

    def __init__(self, database: Database, meter: UsageMeter, clock: Clock) -> None:
        self._database = database
        self._meter = meter
        self._clock = clock
        self._stored_at = clock.monotonic()

    async def cycle(self) -> None:
        """Look, and store when it is time to."""
        self._meter.hold(await self._database.read(_holds))
        if self._clock.monotonic() - self._stored_at >= _STORED_EVERY_SECONDS:
            await self.store()

    async def store(self) -> None:
        """Store what has been added up; what cannot be stored now is kept for the next time."""
        self._stored_at = self._clock.monotonic()
        left = self._meter.drain()
        try:
            while left:
                some = dict(list(left.items())[:_AT_ONCE])
                await self._database.write(_adding(some))
                for place in some:
                    del left[place]
        finally:
            self._meter.give_back(left)


def _holds(tx: Transaction) -> list[Hold]:
    """Who holds how much of which GPU."""
    alone = [(*each, WHOLE_GPU) for each in tx.nodes.holders()]
    return [*alone, *map(tuple, tx.gpu_shares.all())]


def _adding(sums: Mapping[Place, Measured]) -> Callable[[Transaction], None]:
    def store(tx: Transaction) -> None:
        # A node says what it measured of its own runs, and is not believed about others.
        nodes = tx.measures.nodes_of(sorted({holder for holder, _, _ in sums}))
        rows: Sequence[Mapping[str, Any]] = [
            {"holder_id": holder, "slot": slot} | asdict(measured)
            for (holder, node_id, slot), measured in sorted(sums.items())
            if nodes.get(holder) == node_id
        ]
        if rows:
            tx.measures.add(rows)

    return store
