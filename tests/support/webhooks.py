"""Webhooks in tests: the services that calls reach, with no network opened to them."""

from windlass_server.access.seals import Seal
from windlass_server.access.webhook_addresses import WebhookAddresses
from windlass_server.access.webhook_deliveries import WebhookDeliveriesService
from windlass_server.access.webhooks import WebhooksService
from windlass_server.clock import Clock
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens
from windlass_server.storage.engine import Database


def webhooks_services(
    database: Database, clock: Clock
) -> tuple[WebhooksService, WebhookDeliveriesService]:
    """Webhooks and their deliveries, of a database."""
    ids, tokens = IdSource(clock), PageTokens(b"t" * 32)
    seal, addresses = Seal(b"k" * 32), WebhookAddresses(())
    return (
        WebhooksService(database, clock, ids, tokens, seal, addresses),
        WebhookDeliveriesService(database, clock, ids, tokens, lambda: None),
    )
