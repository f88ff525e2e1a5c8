"""What webhooks were told of, and what they are told again: authorise, load, decide, store."""

from collections.abc import Callable, Sequence
from typing import Any

from windlass_server.access.policy import Caller, absent
from windlass_server.access.webhook_rules import TESTED, type_of
from windlass_server.access.webhooks import note, seen
from windlass_server.clock import Clock
from windlass_server.errors import WrongState
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens, page_size
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed, row
from windlass_server.storage.tables import WebhookDeliveryRow
from windlass_server.storage.transaction import Transaction
from windlass_server.storage.webhook_deliveries import State


def new_delivery(
    delivery_id: str, webhook_id: str, sequence: int, type_: str, object_id: str, now: int
) -> dict[str, Any]:
    """The columns of a delivery that is due at once."""
    return {
        "delivery_id": delivery_id,
        "webhook_id": webhook_id,
        "sequence": sequence,
        "status": int(State.PENDING),
        "test": False,
        "type": type_,
        "object_id": object_id,
        "attempts": 0,
        "tries": 0,
        "log": b"",
        "next_at": now,
        "created_at": now,
        "ended_at": None,
    }


class WebhookDeliveriesService:
    """The deliveries of all webhooks.

    Args:
        page_tokens: makes list tokens.
        due: called when there is something to send.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: IdSource,
        page_tokens: PageTokens,
        due: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._page_tokens = page_tokens
        self._due = due

    async def list(
        self, who: Caller, webhook_id: str, *, status: int, size: int, token: str
    ) -> tuple[Sequence[WebhookDeliveryRow], str]:
        """A page of a webhook's deliveries, newest first, and the token of the next one. Raises NotFound."""
        size = page_size(size)
        query = f"webhook deliveries {webhook_id} {status}"
        before = self._page_tokens.read(query, token) if token else ""

        def load(tx: Transaction) -> Sequence[WebhookDeliveryRow]:
            seen(who, "webhooks.get", tx.webhooks.get(webhook_id), webhook_id)
            return tx.webhook_deliveries.page(
                webhook_id, status=status, before=before, size=size + 1
            )

        found = await self._database.read(load)
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(query, found[size - 1].delivery_id)

    async def get(self, who: Caller, webhook_id: str, delivery_id: str) -> WebhookDeliveryRow:
        """A delivery of a webhook. Raises NotFound."""

        def load(tx: Transaction) -> WebhookDeliveryRow:
            seen(who, "webhooks.get", tx.webhooks.get(webhook_id), webhook_id)
            return _found(tx, webhook_id, delivery_id)

        return await self._database.read(load)

    async def test(self, who: Caller, webhook_id: str) -> WebhookDeliveryRow:
        """Have a webhook told once that it was tested. Raises NotFound."""
        delivery_id = self._ids.new("delivery")

        def store(tx: Transaction) -> WebhookDeliveryRow:
            webhook = seen(who, "webhooks.update", tx.webhooks.get(webhook_id), webhook_id)
            now, message = self._clock.now(), f"{who.user} sends the webhook a message for a try"
            sequence = note(
                tx, webhook.project, webhook_id, TESTED, message, actor=who.user, at=now
            )
            type_ = type_of(webhook_id, 0, None, TESTED)
            values = new_delivery(delivery_id, webhook_id, sequence, type_, webhook_id, now)
            values["test"] = True
            tx.webhook_deliveries.add_all([values])
            tx.after_commit(self._due)
            return row(WebhookDeliveryRow, values)

        return await self._database.write(store)

    async def redeliver(self, who: Caller, webhook_id: str, delivery_id: str) -> WebhookDeliveryRow:
        """Have a webhook told once more, now.

        Raises:
            NotFound: there is no such delivery, or not any more; or the webhook is foreign.
            WrongState: WEBHOOK_DISABLED.
        """

        def store(tx: Transaction) -> WebhookDeliveryRow:
            webhook = seen(who, "webhooks.update", tx.webhooks.get(webhook_id), webhook_id)
            old = _found(tx, webhook_id, delivery_id)
            if not webhook.enabled and not old.test:
                message = "the webhook is not enabled: nothing is sent to it"
                raise WrongState(message, reason="WEBHOOK_DISABLED", subject=webhook_id)
            values: dict[str, Any] = {
                "status": int(State.PENDING),
                "tries": 0,
                "next_at": self._clock.now(),
                "ended_at": None,
            }
            tx.webhook_deliveries.change(delivery_id, **values)
            tx.after_commit(self._due)
            return changed(old, **values)

        return await self._database.write(store)


def _found(tx: Transaction, webhook_id: str, delivery_id: str) -> WebhookDeliveryRow:
    found = tx.webhook_deliveries.get(webhook_id, delivery_id)
    if found is None:
        raise absent("webhook delivery", delivery_id)
    return found
