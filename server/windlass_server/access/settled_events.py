"""Up to which event all that has happened can be read.

PostgreSQL gives out sequence numbers before transactions end, so that an event can become visible after one
with a larger number. Who follows events must not go past it. A number that stays away was that of a
transaction that failed.
"""

from windlass_server.clock import Clock
from windlass_server.storage.engine import Database

# A transaction that records events takes milliseconds.
PATIENCE_SECONDS = 5.0
_AT_ONCE = 10_000
# Numbers that may still be missing when a server starts, because another one is writing.
_RECENT = 1_000


class SettledEvents:
    """The end of what can be read, kept for all readers of this process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._end: int | None = None
        # The first number that is missing, and since when (monotonic seconds).
        self._missing: tuple[int, float] = 0, 0.0

    async def end(self) -> int:
        """The largest sequence number up to which no event can still come."""
        if self._database.name == "sqlite":
            # One writer: numbers are given out in the order in which they are seen.
            return await self._database.read(lambda tx: tx.events.newest())
        if self._end is None:
            newest = await self._database.read(lambda tx: tx.events.newest())
            self._end = max(0, newest - _RECENT)
        while True:
            after = self._end
            found = await self._database.read(
                lambda tx, after=after: tx.events.sequences(after=after, size=_AT_ONCE)  # type: ignore[misc]
            )
            # Another reader may have come further meanwhile.
            self._end = max(self._end, self._advance(after, found))
            if len(found) < _AT_ONCE or self._end < found[-1]:
                return self._end

    def _advance(self, end: int, found: list[int]) -> int:
        for sequence in found:
            if sequence != end + 1 and not self._is_lost(end + 1):
                return end
            end = sequence
        return end

    def _is_lost(self, sequence: int) -> bool:
        """Whether the number has been missing for so long that it will not come."""
        now = self._clock.monotonic()
        first, since = self._missing
        if first != sequence:
            self._missing = sequence, now
            return False
        return now - since >= PATIENCE_SECONDS
