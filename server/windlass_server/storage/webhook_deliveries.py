"""What webhooks are told of: which attempts are due, and what became of them. Times are microseconds."""

import enum
from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from windlass_server.storage.hot import Hot
from windlass_server.storage.tables import (
    EventRow,
    JobLabelRow,
    WebhookDeliveryRow,
    WebhookRow,
)

_WEBHOOKS = WebhookRow.__table__  # type: ignore[attr-defined]
_DELIVERIES = WebhookDeliveryRow.__table__  # type: ignore[attr-defined]
_EVENTS = EventRow.__table__  # type: ignore[attr-defined]
_LABELS = JobLabelRow.__table__  # type: ignore[attr-defined]


class State(enum.IntEnum):
    """As `access.v1.WebhookDelivery.Status`."""

    PENDING = 1
    SUCCEEDED = 2
    FAILED = 3


_GET = select(_DELIVERIES).where(
    _DELIVERIES.c.webhook_id == bindparam("webhook_id"),
    _DELIVERIES.c.delivery_id == bindparam("delivery_id"),
)
_OF_EVENT = select(_DELIVERIES).where(
    _DELIVERIES.c.webhook_id == bindparam("webhook_id"),
    _DELIVERIES.c.sequence == bindparam("sequence"),
)
_IS_DUE = and_(
    _DELIVERIES.c.webhook_id == _WEBHOOKS.c.webhook_id,
    _DELIVERIES.c.status == int(State.PENDING),
    _DELIVERIES.c.next_at <= bindparam("now"),
)
_MAY_BE_TOLD = and_(
    _WEBHOOKS.c.enabled.is_(True), _WEBHOOKS.c.paused_until <= bindparam("now", unique=False)
)
# Webhooks with something to do, which are looked for every second.
_DUE_WEBHOOKS = Hot(
    select(_WEBHOOKS.c.webhook_id, _WEBHOOKS.c.project, _WEBHOOKS.c.failures)
    .where(
        or_(
            and_(_MAY_BE_TOLD, exists().where(_IS_DUE)),
            exists().where(_IS_DUE, _DELIVERIES.c.test.is_(True)),
        )
    )
    .order_by(_WEBHOOKS.c.webhook_id)
)
_DUE = (
    select(_DELIVERIES)
    .where(
        _DELIVERIES.c.webhook_id == bindparam("webhook_id"),
        _DELIVERIES.c.status == int(State.PENDING),
        _DELIVERIES.c.next_at <= bindparam("now"),
    )
    .order_by(_DELIVERIES.c.next_at, _DELIVERIES.c.delivery_id)
    .limit(bindparam("size"))
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(_DELIVERIES)
    .where(_DELIVERIES.c.delivery_id == bindparam("key"))
    .values(
        next_at=bindparam("until"),
        attempts=_DELIVERIES.c.attempts + 1,
        tries=_DELIVERIES.c.tries + 1,
    )
)
_SETTLE = update(_DELIVERIES).where(
    _DELIVERIES.c.delivery_id == bindparam("key"),
    _DELIVERIES.c.attempts == bindparam("attempt"),
    _DELIVERIES.c.status == int(State.PENDING),
)
_EARLIER = _EVENTS.alias("earlier")
# What status the object had before, so that changes of it are told from what else happened.
_BEFORE = (
    select(_EARLIER.c.status)
    .where(_EARLIER.c.object_id == _EVENTS.c.object_id, _EARLIER.c.sequence < _EVENTS.c.sequence)
    .order_by(_EARLIER.c.sequence.desc())
    .limit(1)
    .scalar_subquery()
    .label("status_before")
)
_HAPPENED = (
    select(_EVENTS, _BEFORE)
    .where(
        _EVENTS.c.sequence > bindparam("after"),
        _EVENTS.c.sequence <= bindparam("upto"),
        _EVENTS.c.project.in_(bindparam("projects", expanding=True)),
    )
    .order_by(_EVENTS.c.sequence)
    .limit(bindparam("size"))
)
_OF_SEQUENCES = select(_EVENTS).where(
    _EVENTS.c.sequence.in_(bindparam("sequences", expanding=True))
)
_PENDING = select(func.count()).select_from(
    select(_DELIVERIES.c.delivery_id)
    .where(
        _DELIVERIES.c.webhook_id == bindparam("webhook_id"),
        _DELIVERIES.c.status == int(State.PENDING),
    )
    .limit(bindparam("most"))
    .subquery()
)
_LABELS_OF = select(_LABELS).where(_LABELS.c.job_id.in_(bindparam("job_ids", expanding=True)))
_OLD = (
    select(_DELIVERIES.c.delivery_id)
    .where(_DELIVERIES.c.created_at < bindparam("before"))
    .order_by(_DELIVERIES.c.created_at)
    .limit(bindparam("size"))
)


class WebhookDeliveryStore:
    """Deliveries in the database, and the events that they are made of."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, webhook_id: str, delivery_id: str) -> WebhookDeliveryRow | None:
        """A webhook's delivery, or None."""
        values = {"webhook_id": webhook_id, "delivery_id": delivery_id}
        return cast("WebhookDeliveryRow | None", self._connection.execute(_GET, values).first())

    def of_event(self, webhook_id: str, sequence: int) -> WebhookDeliveryRow | None:
        """A webhook's delivery of an event, or None."""
        values = {"webhook_id": webhook_id, "sequence": sequence}
        found = self._connection.execute(_OF_EVENT, values).first()
        return cast("WebhookDeliveryRow | None", found)

    def page(
        self, webhook_id: str, *, status: int, before: str, size: int
    ) -> Sequence[WebhookDeliveryRow]:
        """A webhook's deliveries before an id, empty: all, newest first; with `status` 0 whatever theirs."""
        deliveries = _DELIVERIES.c
        query = select(_DELIVERIES).where(deliveries.webhook_id == webhook_id)
        if status:
            query = query.where(deliveries.status == status)
        if before:
            query = query.where(deliveries.delivery_id < before)
        query = query.order_by(deliveries.delivery_id.desc()).limit(size)
        return cast("Sequence[WebhookDeliveryRow]", self._connection.execute(query).all())

    def add_all(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add deliveries, each with every column, unless the webhook has one of that event."""
        if rows:
            dialect = sqlite if self._connection.dialect.name == "sqlite" else postgresql
            statement = dialect.insert(_DELIVERIES).on_conflict_do_nothing()
            self._connection.execute(statement, [dict(one) for one in rows])

    def pending(self, webhook_id: str, most: int) -> int:
        """How many of a webhook's deliveries have not ended; it stops to count at `most`."""
        values = {"webhook_id": webhook_id, "most": most}
        return self._connection.execute(_PENDING, values).scalar_one()

    def webhooks_due(self, now: int) -> Sequence[Any]:
        """The webhooks for which an attempt is due: rows of webhook_id, project and failures."""
        return _DUE_WEBHOOKS.all(self._connection, {"now": now})

    def claim(
        self, webhook_id: str, *, now: int, until: int, size: int, tests_only: bool
    ) -> list[WebhookDeliveryRow]:
        """Take the attempts that are due, the longest due first; nobody else takes them before `until`.

        Returns:
            The deliveries as they were before.
        """
        query = _DUE.where(_DELIVERIES.c.test.is_(True)) if tests_only else _DUE
        values = {"webhook_id": webhook_id, "now": now, "size": size}
        rows = self._connection.execute(query, values).all()
        for row in rows:
            self._connection.execute(_CLAIM, {"key": row.delivery_id, "until": until})
        return cast("list[WebhookDeliveryRow]", list(rows))

    def settle(self, delivery_id: str, attempt: int, **values: Any) -> bool:
        """Note what became of an attempt; False when another one was begun since, or none waits."""
        key = {"key": delivery_id, "attempt": attempt}
        return self._connection.execute(_SETTLE.values(**values), key).rowcount == 1

    def put_off(
        self, delivery_id: str, attempt: int, *, until: int, next_at: int, tries: int
    ) -> None:
        """Have an attempt made at another time, unless something became of it since it was claimed `until` then."""
        statement = _SETTLE.where(_DELIVERIES.c.next_at == until)
        key = {"key": delivery_id, "attempt": attempt}
        self._connection.execute(statement.values(next_at=next_at, tries=tries), key)

    def change(self, delivery_id: str, **values: Any) -> None:
        """Set columns of a delivery."""
        one = _DELIVERIES.c.delivery_id == delivery_id
        self._connection.execute(update(_DELIVERIES).where(one).values(**values))

    def remove_before(self, before: int, size: int) -> int:
        """Remove the oldest deliveries of those that were made before a time; returns how many."""
        rows = self._connection.execute(_OLD, {"before": before, "size": size}).all()
        ids = [row.delivery_id for row in rows]
        if ids:
            self._connection.execute(delete(_DELIVERIES).where(_DELIVERIES.c.delivery_id.in_(ids)))
        return len(ids)

    def happened(
        self, projects: Sequence[str], *, after: int, upto: int, size: int
    ) -> Sequence[Any]:
        """Events of projects behind `after`, none behind `upto`, oldest first.

        Rows of EventRow, with `status_before`, that of the object's event before; None for its first.
        """
        values = {"projects": projects, "after": after, "upto": upto, "size": size}
        return self._connection.execute(_HAPPENED, values).all()

    def events(self, sequences: Sequence[int]) -> dict[int, EventRow]:
        """Events by their numbers."""
        rows = self._connection.execute(_OF_SEQUENCES, {"sequences": sequences}).all()
        return {row.sequence: cast("EventRow", row) for row in rows}

    def labels(self, job_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """The labels of jobs, of those that have some."""
        found: dict[str, dict[str, str]] = {}
        for row in self._connection.execute(_LABELS_OF, {"job_ids": job_ids}).all():
            found.setdefault(row.job_id, {})[row.key] = row.value
        return found
