"""Keeps webhooks told: finds what they ask for among what happened, sends it, and forgets it after a while."""

import asyncio
import logging
from collections.abc import Callable

from windlass_server.access.webhook_matching import WebhookMatching
from windlass_server.access.webhook_telling import AT_ONCE, Claimed, WebhookTelling
from windlass_server.clock import Clock
from windlass_server.storage.engine import Database

_log = logging.getLogger(__name__)

_REMOVED_AT_ONCE = 1_000


class WebhookDuties:
    """The duties of webhooks.

    Args:
        look: wakes the duty of sending.
    """

    def __init__(
        self, matching: WebhookMatching, telling: WebhookTelling, look: Callable[[], None]
    ) -> None:
        self._matching = matching
        self._telling = telling
        self._look = look
        self._under_way: dict[asyncio.Task[None], Claimed] = {}

    async def match(self) -> float | None:
        """Make the deliveries of what has happened."""
        more = await self._matching.cycle()
        self._look()
        return 0.0 if more else None

    async def send(self) -> None:
        """Begin the attempts that are due; they go on when the cycle has ended."""
        if len(self._under_way) >= AT_ONCE:
            return
        for claimed in await self._telling.claim(list(self._under_way.values())):
            task = asyncio.create_task(self._attempt(claimed), name=claimed.delivery.delivery_id)
            self._under_way[task] = claimed
            task.add_done_callback(self._ended)

    async def _attempt(self, claimed: Claimed) -> None:
        try:
            await self._telling.attempt(claimed)
        except Exception:
            # It is taken again when its time has run out.
            _log.exception("an attempt to tell %s failed", claimed.webhook.webhook_id)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._look()

    async def close(self) -> None:
        """Break off what is under way: it is sent again, by whichever server is there then."""
        under_way = dict(self._under_way)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._telling.give_back(list(under_way.values()))


class DeliveryRemoval:
    """Forgets deliveries that are old.

    Args:
        retention: how long they are kept, in microseconds.
    """

    def __init__(self, database: Database, clock: Clock, retention: int) -> None:
        self._database = database
        self._clock = clock
        self._retention = retention

    async def cycle(self) -> float | None:
        """Remove some; at once more when there are."""
        before = self._clock.now() - self._retention
        removed = await self._database.write(
            lambda tx: tx.webhook_deliveries.remove_before(before, _REMOVED_AT_ONCE)
        )
        return 0.0 if removed == _REMOVED_AT_ONCE else None
