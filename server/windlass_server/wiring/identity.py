"""Who calls, and what they may do."""

import logging
from dataclasses import dataclass

from windlass_server.access import bootstrap
from windlass_server.access.authenticator import Authenticator
from windlass_server.access.events import EventsService
from windlass_server.access.join_tokens import JoinTokens
from windlass_server.access.keyring import Keyring
from windlass_server.access.project_secrets import SecretsService
from windlass_server.access.quotas import QuotasService
from windlass_server.access.seals import Seal
from windlass_server.access.service import AccessService
from windlass_server.access.tokens import UserTokens
from windlass_server.access.webhook_addresses import WebhookAddresses
from windlass_server.access.webhook_deliveries import WebhookDeliveriesService
from windlass_server.access.webhooks import WebhooksService
from windlass_server.storage.guard import acting_as
from windlass_server.wiring.foundation import Foundation

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """Callers' credentials, what their projects may have, what happens to their objects and who is told of it, and the seal of what the server itself holds."""

    authenticator: Authenticator
    access: AccessService
    quotas: QuotasService
    events: EventsService
    secrets: SecretsService
    seal: Seal
    webhooks: WebhooksService
    deliveries: WebhookDeliveriesService
    webhook_addresses: WebhookAddresses


async def establish_identity(on: Foundation) -> Identity:
    """Make sure of an administrator, and be able to tell callers apart."""
    pepper = on.secrets.api_key_pepper
    admin_key = await bootstrap.bootstrap(on.database, on.clock, pepper, on.config.data_dir)
    if admin_key.problem:
        _log.warning("%s", admin_key.problem)
    user_tokens = UserTokens(on.secrets.signing_key)
    authenticator = Authenticator(on.database, on.clock, pepper, user_tokens)
    join_tokens = JoinTokens(on.secrets.join_token_pepper)
    access = AccessService(
        on.database, on.clock, authenticator, user_tokens, join_tokens, pepper, on.page_tokens
    )
    quotas = QuotasService(on.database, on.clock, on.ids, on.page_tokens, on.hints.world_changed)
    events = EventsService(on.database, on.clock, on.hub)
    secrets = await _project_secrets(on)
    seal = Seal(on.secrets.seal_key)
    addresses = WebhookAddresses(on.config.webhook_networks)
    return Identity(
        authenticator,
        access,
        quotas,
        events,
        secrets,
        seal,
        WebhooksService(on.database, on.clock, on.ids, on.page_tokens, seal, addresses),
        WebhookDeliveriesService(
            on.database, on.clock, on.ids, on.page_tokens, on.hints.delivery_due
        ),
        addresses,
    )


async def _project_secrets(on: Foundation) -> SecretsService:
    """The secrets of projects, all of them under the key that encrypts now."""
    configured = [bytes.fromhex(one.get_secret_value()) for one in on.config.project_secrets_keys]
    keyring = Keyring([*configured, on.secrets.project_secrets_key])
    secrets = SecretsService(on.database, on.clock, on.ids, on.page_tokens, keyring)
    with acting_as("start"):
        count = await secrets.seal_anew()
    if count:
        _log.info("%d values of secrets are encrypted under key %s now", count, keyring.current)
    return secrets
