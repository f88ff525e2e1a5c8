"""Tells of what happened: takes events from the outbox, in order, and hands them to listeners."""

from collections.abc import Callable, Sequence

from windlass_server.storage.engine import Database

_BATCH = 500


class OutboxDispatcher:
    """Hands the topics of new events to listeners, at least once, then forgets that it has to.

    Args:
        tell: each is called with the topics (object ids) of a batch, in the order of their events.
    """

    def __init__(self, database: Database, tell: Sequence[Callable[[Sequence[str]], None]]) -> None:
        self._database = database
        self._tell = tell

    async def cycle(self) -> None:
        """Empty the outbox."""
        while batch := await self._database.read(lambda tx: tx.events.untold(_BATCH)):
            for tell in self._tell:
                tell([row.topic for row in batch])
            sequences = [row.sequence for row in batch]
            await self._database.write(lambda tx, told=sequences: tx.events.told(told))  # type: ignore[misc]
            if len(batch) < _BATCH:
                return
