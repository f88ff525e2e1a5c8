"""Events, the outbox that tells of them, and the answers to idempotent creates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, or_, select

from windlass_server.storage.hot import Hot, driver_of
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
# As many as there are with one statement, where the driver takes statements with answers no other way.
_INSERT_EVENTS = insert(_EVENTS).returning(_EVENTS.c.sequence, sort_by_parameter_order=True)
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
_SOME_REQUESTS = select(_REQUESTS).where(
    _REQUESTS.c.user == bindparam("user"),
    _REQUESTS.c.method == bindparam("method"),
    _REQUESTS.c.request_id.in_(bindparam("request_ids", expanding=True)),
)


_NEWEST = Hot(select(func.max(_EVENTS.c.sequence).label("newest")))
_SEQUENCES = Hot(
    select(_EVENTS.c.sequence)
    .where(_EVENTS.c.sequence > bindparam("after"))
    .order_by(_EVENTS.c.sequence)
    .limit(bindparam("size"))
)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are asked for; empty values ask for all.

    Attributes:
        projects: of objects of these; None: of any, and of those that belong to none.
        kinds: beginnings of objects' ids.
        since: what happened then or later (µs).
    """

    projects: tuple[str, ...] | None = None
    object_id: str = ""
    kinds: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    actor: str = ""
    since: int | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same as SQL."""
        events = _EVENTS.c
        made: list[ColumnElement[bool]] = []
        if self.projects is not None:
            made.append(events.project.in_(self.projects))
        if self.object_id:
            made.append(events.object_id == self.object_id)
        if self.kinds:
            made.append(
                or_(
                    *(
                        events.object_id.like(f"{kind}{mark}%")
                        for kind in self.kinds
                        for mark in "-/"
                    )
                )
            )
        if self.reasons:
            made.append(events.reason.in_(self.reasons))
        if self.actor:
            made.append(events.actor == self.actor)
        if self.since is not None:
            made.append(events.at >= self.since)
        return made


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
        (sequence,) = self.record_all([values])
        return sequence

    def record_all(self, events: Sequence[Mapping[str, Any]]) -> list[int]:
        """Record events as `record` does, each with all of its arguments; returns their numbers, in order."""
        if not events:
            return []
        rows: Sequence[Any]
        if driver_of(self._connection) is None:
            rows = self._connection.execute(_INSERT_EVENTS, events).all()
        else:
            rows = [_INSERT_EVENT.first(self._connection, event) for event in events]
        sequences = [int(row[0]) for row in rows]
        _INSERT_OUTBOX.run_many(
            self._connection,
            [
                {"sequence": sequence, "topic": event["object_id"]}
                for sequence, event in zip(sequences, events, strict=True)
            ],
        )
        return sequences

    def page(self, object_id: str, *, after: int, size: int) -> Sequence[EventRow]:
        """The events of an object behind sequence number `after`, oldest first."""
        rows = self._connection.execute(
            _PAGE, {"object_id": object_id, "after": after, "size": size}
        ).all()
        return cast("Sequence[EventRow]", rows)

    def search(
        self, wanted: EventFilter, *, after: int, upto: int, size: int, newest: bool = False
    ) -> Sequence[EventRow]:
        """The first `size` events behind `after`, none behind `upto`, oldest first; the last with `newest`."""
        sequence = _EVENTS.c.sequence
        query = select(_EVENTS).where(sequence > after, sequence <= upto, *wanted.conditions())
        query = query.order_by(sequence.desc() if newest else sequence).limit(size)
        rows = cast("list[EventRow]", self._connection.execute(query).all())
        return rows[::-1] if newest else rows

    def newest(self) -> int:
        """The largest sequence number that there is; 0 without events."""
        row = cast("Any", _NEWEST.first(self._connection, {}))
        return row.newest or 0

    def sequences(self, *, after: int, size: int) -> Sequence[int]:
        """The first `size` sequence numbers behind `after`, in order."""
        rows = _SEQUENCES.all(self._connection, {"after": after, "size": size})
        return [cast("Any", row).sequence for row in rows]

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

    def earlier_answers(
        self, user: str, method: str, request_ids: Sequence[str]
    ) -> dict[str, RequestRow]:
        """The answers that this principal's request ids have had for `method`, of those that have."""
        rows = self._connection.execute(
            _SOME_REQUESTS, {"user": user, "method": method, "request_ids": request_ids}
        ).all()
        return {row.request_id: cast("RequestRow", row) for row in rows}

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

    def remember_answers(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """Remember answers as `remember_answer` does, each with all columns."""
        if answers:
            self._connection.execute(insert(_REQUESTS), answers)
