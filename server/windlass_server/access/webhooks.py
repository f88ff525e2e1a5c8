"""Who is told of events: authorise, load, decide, store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from windlass.access.v1 import webhook_pb2
from windlass_server.access import webhook_signing
from windlass_server.access.policy import Caller, absent, may, require, require_object
from windlass_server.access.seals import Seal
from windlass_server.access.webhook_addresses import Refused, WebhookAddresses
from windlass_server.access.webhook_message import spec_of
from windlass_server.access.webhook_rules import CHANGEABLE, KEPT, require_sound
from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.errors import FieldViolation, InvalidInput, WrongState
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens, page_size
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed, row
from windlass_server.storage.tables import WebhookRow
from windlass_server.storage.transaction import Transaction
from windlass_server.updates import merged, require_etag, require_same

MAX_WEBHOOKS = 50
"""Of one project."""

DEFAULT_OVERLAP = 86_400 * MICROS_PER_SECOND
"""How long messages are signed with two secrets, unless somebody wants it otherwise."""


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A webhook, and the secret that nobody is shown again."""

    row: WebhookRow
    secret: str


class WebhooksService:
    """The webhooks of all projects.

    Args:
        page_tokens: makes list tokens.
        seal: keeps their secrets.
        addresses: where they may lead.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: IdSource,
        page_tokens: PageTokens,
        seal: Seal,
        addresses: WebhookAddresses,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._page_tokens = page_tokens
        self._seal = seal
        self._addresses = addresses

    async def list(
        self, who: Caller, project: str, *, size: int, token: str
    ) -> tuple[Sequence[WebhookRow], str]:
        """A page of webhooks, oldest first, and the token of the next one.

        Without a project those of every project whose webhooks the caller may see.

        Raises:
            NotFound: there is no such project, or the caller has no part in it.
        """
        size = page_size(size)
        query = f"webhooks {project}"
        after = self._page_tokens.read(query, token) if token else ""

        def load(tx: Transaction) -> Sequence[WebhookRow]:
            projects = _visible(tx, who, project)
            return tx.webhooks.page(projects, after=after, size=size + 1)

        found = await self._database.read(load)
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(query, found[size - 1].webhook_id)

    async def get(self, who: Caller, webhook_id: str) -> WebhookRow:
        """A webhook; NotFound also when it is foreign."""
        return await self._database.read(
            lambda tx: seen(who, "webhooks.get", tx.webhooks.get(webhook_id), webhook_id)
        )

    async def create(self, who: Caller, wanted: webhook_pb2.Webhook) -> NewSecret:
        """Make a webhook, which is told of what happens from then on.

        Raises:
            NotFound: there is no such project.
            InvalidInput: its URL leads where nothing is sent, or it makes no sense.
            WrongState: TOO_MANY_WEBHOOKS.
            Unavailable: too many names are looked up (`NAME_LOOKUPS_BUSY`).
        """
        project = wanted.project or who.default_project
        require(who, "webhooks.create", project)
        spec = merged(webhook_pb2.Webhook(enabled=True), wanted, (), CHANGEABLE)
        await self._require_sound(spec)
        secret, now = webhook_signing.new_secret(), self._clock.now()
        webhook_id = self._ids.new("webhook")
        values: dict[str, Any] = {
            "webhook_id": webhook_id,
            "project": project,
            "user": who.user,
            **_columns(spec),
            "disabled_reason": "",
            "secret": self._seal.close(purpose(webhook_id), secret),
            "previous_secret": None,
            "previous_until": None,
            "failures": 0,
            "failing_since": None,
            "paused_until": 0,
            "succeeded_at": None,
            "version": 1,
            "created_at": now,
            "updated_at": now,
        }

        def store(tx: Transaction) -> WebhookRow:
            if not tx.access.has_project(project):
                raise absent("project", project)
            if tx.webhooks.count_to_add(project) >= MAX_WEBHOOKS:
                message = f"project {project!r} has {MAX_WEBHOOKS} webhooks, which is the most"
                raise WrongState(message, reason="TOO_MANY_WEBHOOKS", subject=f"project:{project}")
            cursor = self._note(tx, who.user, project, webhook_id, "WEBHOOK_CREATED")
            made = values | {"cursor": cursor}
            tx.webhooks.add(made)
            return row(WebhookRow, made)

        return NewSecret(await self._database.write(store), secret)

    async def update(
        self, who: Caller, wanted: webhook_pb2.Webhook, mask: Sequence[str]
    ) -> WebhookRow:
        """Change what a webhook is told of, and where.

        Raises:
            NotFound: there is none of that id, or it is foreign.
            InvalidInput: its URL leads where nothing is sent, it makes no sense, or the mask names a field that
                cannot be changed.
            Conflict: it is not as `wanted.etag` says, or was changed meanwhile.
            Unavailable: as for `create`.
        """
        webhook_id = wanted.webhook_id
        before = await self._database.read(
            lambda tx: seen(who, "webhooks.update", tx.webhooks.get(webhook_id), webhook_id)
        )
        require_etag("webhook", before.version, wanted.etag)
        old = spec_of(before)
        require_same(old, wanted, mask, KEPT, "webhook")
        spec = merged(old, wanted, mask, CHANGEABLE)
        # Who clears it wants what is usual.
        spec.enabled = spec.enabled or not spec.HasField("enabled")
        if spec == old:
            return before
        # One that is only switched off may lead anywhere by now.
        await self._require_sound(spec, address=spec.enabled or spec.url != old.url)

        def store(tx: Transaction) -> WebhookRow:
            now = seen(who, "webhooks.update", tx.webhooks.lock(webhook_id), webhook_id)
            require_etag("webhook", now.version, str(before.version))
            values: dict[str, Any] = {
                **_columns(spec),
                "version": now.version + 1,
                "updated_at": self._clock.now(),
            }
            sequence = self._note(tx, who.user, now.project, webhook_id, "WEBHOOK_UPDATED")
            if spec.enabled and not now.enabled:
                values |= {"cursor": sequence, **_FRESH}
            tx.webhooks.change(webhook_id, **values)
            return changed(now, **values)

        return await self._database.write(store)

    async def delete(self, who: Caller, webhook_id: str, etag: str) -> WebhookRow:
        """Remove a webhook; returns it as it was.

        Raises:
            NotFound: there is none of that id, or it is foreign.
            Conflict: it is not as `etag` says.
        """

        def store(tx: Transaction) -> WebhookRow:
            old = seen(who, "webhooks.delete", tx.webhooks.lock(webhook_id), webhook_id)
            require_etag("webhook", old.version, etag)
            tx.webhooks.remove(webhook_id)
            self._note(tx, who.user, old.project, webhook_id, "WEBHOOK_DELETED")
            return old

        return await self._database.write(store)

    async def rotate(self, who: Caller, webhook_id: str, overlap: int | None) -> NewSecret:
        """Give a webhook another secret, and sign with the present one, too, for `overlap` microseconds.

        Raises:
            NotFound: there is none of that id, or it is foreign.
        """
        secret = webhook_signing.new_secret()
        sealed = self._seal.close(purpose(webhook_id), secret)
        both = DEFAULT_OVERLAP if overlap is None else overlap

        def store(tx: Transaction) -> WebhookRow:
            old = seen(who, "webhooks.update", tx.webhooks.lock(webhook_id), webhook_id)
            now = self._clock.now()
            values: dict[str, Any] = {
                "secret": sealed,
                "previous_secret": old.secret if both else None,
                "previous_until": now + both if both else None,
                "version": old.version + 1,
                "updated_at": now,
            }
            tx.webhooks.change(webhook_id, **values)
            self._note(tx, who.user, old.project, webhook_id, "WEBHOOK_SECRET_ROTATED")
            return changed(old, **values)

        return NewSecret(await self._database.write(store), secret)

    async def _require_sound(self, spec: webhook_pb2.Webhook, *, address: bool = True) -> None:
        require_sound(spec)
        if not address:
            return
        try:
            await self._addresses.check(spec.url)
        except Refused as refused:
            violation = FieldViolation("webhook.url", str(refused), refused.reason)
            message = f"webhook.url: {refused}"
            raise InvalidInput(message, reason=refused.reason, violations=(violation,)) from None

    def _note(self, tx: Transaction, who: str, project: str, webhook_id: str, reason: str) -> int:
        """Record what somebody did with a webhook: not its URL, which may be a secret."""
        return note(
            tx, project, webhook_id, reason, _WORDS[reason], actor=who, at=self._clock.now()
        )


_WORDS = {
    "WEBHOOK_CREATED": "the webhook was made",
    "WEBHOOK_UPDATED": "the webhook was changed",
    "WEBHOOK_DELETED": "the webhook was removed",
    "WEBHOOK_SECRET_ROTATED": "the webhook has another secret",
}
# Of one that begins anew.
_FRESH: dict[str, Any] = {
    "disabled_reason": "",
    "failures": 0,
    "failing_since": None,
    "paused_until": 0,
}


def purpose(webhook_id: str) -> str:
    """What a webhook's secrets are sealed for."""
    return f"webhook {webhook_id}"


def note(
    tx: Transaction,
    project: str,
    webhook_id: str,
    reason: str,
    message: str,
    *,
    actor: str,
    at: int,
) -> int:
    """Record what happened to a webhook; returns the event's number."""
    return tx.events.record(
        project=project,
        object_id=webhook_id,
        at=at,
        actor=actor,
        status=0,
        reason=reason,
        message=message,
        run_id="",
    )


def seen(who: Caller, permission: str, found: WebhookRow | None, webhook_id: str) -> WebhookRow:
    """A webhook that was loaded, for a caller who may do this; NotFound also when it is foreign."""
    if found is None:
        raise absent("webhook", webhook_id)
    require_object(who, permission, found.project, kind="webhook", object_id=webhook_id)
    return found


def _visible(tx: Transaction, who: Caller, project: str) -> Sequence[str] | None:
    """The projects whose webhooks are asked for and may be seen; None: all."""
    if project:
        if not tx.access.has_project(project):
            raise absent("project", project)
        require_object(who, "webhooks.list", project, kind="project", object_id=project)
        return (project,)
    if who.organisation_role is not None and may(who, "webhooks.list", ""):
        return None
    return [one for one in who.roles if may(who, "webhooks.list", one)]


def _columns(spec: webhook_pb2.Webhook) -> dict[str, Any]:
    """The columns of what a caller said."""
    said = webhook_pb2.Webhook()
    said.CopyFrom(spec)
    for name in ("project", "enabled"):
        said.ClearField(name)
    return {"spec": said.SerializeToString(deterministic=True), "enabled": spec.enabled}
