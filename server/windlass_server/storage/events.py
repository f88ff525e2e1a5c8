"""Events, the outbox that tells of them, and the answers to idempotent creates."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy import Connection, bindparam, delete, insert, select

from windlass_server.storage.hot import Hot
from windlass_server.storage.tables import EventRow, OutboxRow, RequestRow

_EVENTS = EventRow.__table__  # type: ignore[attr-defined]
_OUTBOX = OutboxRow.__table__  # type: ignore[attr-defined]
_REQUESTS = RequestRow.__table__  # type: ignore[attr-defined]

_NUMBERED = [column for column in _EVENTS.c if column.name != "sequence"]
_INSERT_EVENT = Hot(
    insert(_EVENTS)
    .values({column.name: bindparam(column.name) for column in _NUMBERED})
    .returning(_EVENTS.c.sequence)
)
_INSERT_OUTBOX = Hot(insert(_OUTBOX))
_UNTOLD = Hot(select(_OUTBOX).order_by(_OUTBOX.c.sequence).limit(bindparam("size")))
_TOLD = Hot(delete(_OUTBOX).where(_OUTBOX.c.sequence == bindparam("told")))
_PAGE = (
    select(_EVENTS)
    .where(_EVENTS.c.object_id == bindparam("object_id"), _EVENTS.c.sequence > bindparam("after"))
    .order_by(_EVENTS.c.sequence)
    .limit(bindparam("size"))
)
_REQUEST = select(_REQUESTS).where(
    _REQUESTS.c.user == bindparam("user"),
    _REQUESTS.c.method == bindparam("method"),
    _REQUESTS.c.request_id == bindparam("request_id"),
)


class EventStore:
    """What happened, in one transaction with what made it happen."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def record(
        self,
        *,
        project: str,
        object_id: str,
        at: int,
        actor: str,
        status: int,
        reason: str,
        message: str,
        run_id: str,
    ) -> int:
        """Record an event and that it has to be told; returns its sequence number."""
        values = {
            "project": project,
            "object_id": object_id,
            "at": at,
            "actor": actor,
            "status": status,
            "reason": reason,
            "message": message,
            "run_id": run_id,
        }
        inserted = _INSERT_EVENT.first(self._connection, values)
        assert inserted is not None
        sequence: int = inserted[0]
        _INSERT_OUTBOX.run(self._connection, {"sequence": sequence, "topic": object_id})
        return sequence

    def page(self, object_id: str, *, after: int, size: int) -> Sequence[EventRow]:
        """The events of an object behind sequence number `after`, oldest first."""
        rows = self._connection.execute(
            _PAGE, {"object_id": object_id, "after": after, "size": size}
        ).all()
        return cast("Sequence[EventRow]", rows)

    def untold(self, size: int) -> Sequence[OutboxRow]:
        """The oldest events that have still to be told."""
        return cast("Sequence[OutboxRow]", _UNTOLD.all(self._connection, {"size": size}))

    def told(self, sequences: Sequence[int]) -> None:
        """Forget that these events have to be told."""
        _TOLD.run_many(self._connection, [{"told": sequence} for sequence in sequences])

    def earlier_answer(self, user: str, method: str, request_id: str) -> RequestRow | None:
        """The answer that this principal's `request_id` has had for `method`, if any."""
        row = self._connection.execute(
            _REQUEST, {"user": user, "method": method, "request_id": request_id}
        ).first()
        return cast("RequestRow | None", row)

    def remember_answer(
        self,
        user: str,
        method: str,
        request_id: str,
        *,
        fingerprint: bytes,
        object_id: str,
        at: int,
    ) -> None:
        """Remember the answer to a `request_id`; IntegrityError when it is taken meanwhile."""
        self._connection.execute(
            insert(_REQUESTS),
            {
                "user": user,
                "method": method,
                "request_id": request_id,
                "fingerprint": fingerprint,
                "object_id": object_id,
                "created_at": at,
            },
        )
