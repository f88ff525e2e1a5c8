"""Webhooks: who is told of events, and how far each has been looked after. Times are microseconds."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from windlass_server.storage.hot import Hot
from windlass_server.storage.tables import JobNotificationRow, OrganisationRow, WebhookRow

_WEBHOOKS = WebhookRow.__table__  # type: ignore[attr-defined]
_NOTIFICATIONS = JobNotificationRow.__table__  # type: ignore[attr-defined]
_ORGANISATIONS = OrganisationRow.__table__  # type: ignore[attr-defined]

_GET = select(_WEBHOOKS).where(_WEBHOOKS.c.webhook_id == bindparam("webhook_id"))
# Looked at whenever something has happened.
_ENABLED = Hot(
    select(_WEBHOOKS).where(_WEBHOOKS.c.enabled.is_(True)).order_by(_WEBHOOKS.c.webhook_id)
)
_COUNT = select(func.count()).where(_WEBHOOKS.c.project == bindparam("project"))
_THERE = select(_WEBHOOKS.c.webhook_id).where(
    _WEBHOOKS.c.project == bindparam("project"),
    _WEBHOOKS.c.webhook_id.in_(bindparam("ids", expanding=True)),
)
_ADVANCE = (
    update(_WEBHOOKS)
    .where(
        _WEBHOOKS.c.webhook_id == bindparam("key"),
        _WEBHOOKS.c.cursor == bindparam("seen"),
        _WEBHOOKS.c.enabled.is_(True),
    )
    .values(cursor=bindparam("looked"))
)
# The one row that every installation has, so that webhooks are made one after the other.
_LOCK = select(_ORGANISATIONS.c.organisation_id).with_for_update()
_ASKED = select(_NOTIFICATIONS).where(
    _NOTIFICATIONS.c.job_id.in_(bindparam("job_ids", expanding=True)),
    _NOTIFICATIONS.c.webhook_id.in_(bindparam("webhook_ids", expanding=True)),
)


class WebhookStore:
    """Webhooks in the database, and which jobs name them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, webhook_id: str) -> WebhookRow | None:
        """The webhook, or None."""
        found = self._connection.execute(_GET, {"webhook_id": webhook_id}).first()
        return cast("WebhookRow | None", found)

    def lock(self, webhook_id: str) -> WebhookRow | None:
        """The webhook, held against other writers until the transaction ends; or None."""
        found = self._connection.execute(_GET.with_for_update(), {"webhook_id": webhook_id}).first()
        return cast("WebhookRow | None", found)

    def page(
        self, projects: Sequence[str] | None, *, after: str, size: int
    ) -> Sequence[WebhookRow]:
        """The webhooks of projects, None of all, behind an id, oldest first."""
        query = select(_WEBHOOKS).where(_WEBHOOKS.c.webhook_id > after)
        if projects is not None:
            query = query.where(_WEBHOOKS.c.project.in_(projects))
        found = self._connection.execute(query.order_by(_WEBHOOKS.c.webhook_id).limit(size)).all()
        return cast("Sequence[WebhookRow]", found)

    def enabled(self) -> Sequence[WebhookRow]:
        """Those of all projects that are told, oldest first."""
        return cast("Sequence[WebhookRow]", _ENABLED.all(self._connection, {}))

    def count_to_add(self, project: str) -> int:
        """How many a project has, which stays so until the transaction ends."""
        self._connection.execute(_LOCK)
        return self._connection.execute(_COUNT, {"project": project}).scalar_one()

    def there(self, project: str, webhook_ids: Sequence[str]) -> set[str]:
        """Those of the ids that are webhooks of a project."""
        rows = self._connection.execute(_THERE, {"project": project, "ids": webhook_ids}).all()
        return {row.webhook_id for row in rows}

    def add(self, values: Mapping[str, Any]) -> None:
        """Add a webhook; `values` has every column."""
        self._connection.execute(insert(_WEBHOOKS), values)

    def change(self, webhook_id: str, **values: Any) -> None:
        """Set columns of a webhook that is locked."""
        one = _WEBHOOKS.c.webhook_id == webhook_id
        self._connection.execute(update(_WEBHOOKS).where(one).values(**values))

    def remove(self, webhook_id: str) -> None:
        """Remove a webhook."""
        one = _WEBHOOKS.c.webhook_id == webhook_id
        self._connection.execute(delete(_WEBHOOKS).where(one))

    def advance(self, webhook_id: str, *, seen: int, looked: int) -> bool:
        """Note up to which event a webhook was looked after; False when somebody else has, or it is not told."""
        values = {"key": webhook_id, "seen": seen, "looked": looked}
        return self._connection.execute(_ADVANCE, values).rowcount == 1

    def name(self, rows: Sequence[tuple[str, str, int]]) -> None:
        """Note that jobs name webhooks: job, webhook, and the status of which it is told."""
        if rows:
            names = ("job_id", "webhook_id", "status")
            self._connection.execute(
                insert(_NOTIFICATIONS), [dict(zip(names, one, strict=True)) for one in rows]
            )

    def named(
        self, job_ids: Sequence[str], webhook_ids: Sequence[str]
    ) -> set[tuple[str, str, int]]:
        """Which of the webhooks are told of which of the jobs: job, webhook and status."""
        values = {"job_ids": job_ids, "webhook_ids": webhook_ids}
        rows = self._connection.execute(_ASKED, values).all()
        return {(row.job_id, row.webhook_id, row.status) for row in rows}
