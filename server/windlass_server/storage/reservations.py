"""Reservations, and what runs on the nodes of which they keep a part."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, bindparam, delete, insert, literal, or_, select, update

from windlass_server.storage.partial_indexes import RUN_ACTIVE, RUN_KEPT
from windlass_server.storage.tables import (
    AllocationRow,
    JobRow,
    ReservationRow,
    ReservedPartRow,
    RunRow,
)

_RESERVATIONS = ReservationRow.__table__  # type: ignore[attr-defined]
_PARTS = ReservedPartRow.__table__  # type: ignore[attr-defined]
_RUNS = RunRow.__table__  # type: ignore[attr-defined]
_JOBS = JobRow.__table__  # type: ignore[attr-defined]
_ALLOCATIONS = AllocationRow.__table__  # type: ignore[attr-defined]

_GET = select(_RESERVATIONS).where(_RESERVATIONS.c.reservation_id == bindparam("reservation_id"))
_LOCK = _GET.with_for_update()
_LIVE = (
    select(_RESERVATIONS)
    .where(
        _RESERVATIONS.c.cancelled_at.is_(None),
        or_(_RESERVATIONS.c.ends_at.is_(None), _RESERVATIONS.c.ends_at > bindparam("now")),
    )
    .order_by(_RESERVATIONS.c.reservation_id)
)
_PARTS_OF = (
    select(_PARTS)
    .where(_PARTS.c.reservation_id.in_(bindparam("reservation_ids", expanding=True)))
    .order_by(_PARTS.c.reservation_id, _PARTS.c.node_id)
)
# A run may last as long as its limit and grace from its start on; without a limit for ever.
_RUNNING = (
    select(
        _RUNS.c.run_id.label("holder"),
        _RUNS.c.node_id,
        _JOBS.c.project,
        _JOBS.c.user,
        _RUNS.c.cpu_millis,
        _RUNS.c.memory_bytes,
        _RUNS.c.gpu_uuids,
        _RUNS.c.gpu_millis,
        (_RUNS.c.started_at + _RUNS.c.time_limit + _RUNS.c.grace).label("started_end"),
        _RUNS.c.time_limit,
        _RUNS.c.grace,
        _JOBS.c.reservation_id,
    )
    .join(_JOBS, _JOBS.c.job_id == _RUNS.c.job_id)
    .where(RUN_KEPT, RUN_ACTIVE, _RUNS.c.node_id.in_(bindparam("node_ids", expanding=True)))
    .union_all(
        select(
            _ALLOCATIONS.c.allocation_id,
            _ALLOCATIONS.c.node_id,
            _ALLOCATIONS.c.project,
            _ALLOCATIONS.c.user,
            _ALLOCATIONS.c.cpu_millis,
            _ALLOCATIONS.c.memory_bytes,
            _ALLOCATIONS.c.gpu_uuids,
            _ALLOCATIONS.c.gpu_millis,
            _ALLOCATIONS.c.expires_at,
            literal(0),
            literal(0),
            literal(""),
        ).where(
            _ALLOCATIONS.c.status == 1,
            _ALLOCATIONS.c.node_id.in_(bindparam("node_ids", expanding=True)),
        )
    )
)


class ReservationStore:
    """Reservations in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, reservation_id: str) -> ReservationRow | None:
        """The reservation, or None."""
        return self._first(_GET, reservation_id)

    def lock(self, reservation_id: str) -> ReservationRow | None:
        """The reservation, held against other writers until the transaction ends; or None."""
        return self._first(_LOCK, reservation_id)

    def live(self, now: int) -> Sequence[ReservationRow]:
        """Those whose last time is not over, oldest first."""
        rows = self._connection.execute(_LIVE, {"now": now}).all()
        return cast("Sequence[ReservationRow]", rows)

    def parts(self, reservation_ids: Sequence[str]) -> Sequence[ReservedPartRow]:
        """What these keep of which nodes."""
        values = {"reservation_ids": list(reservation_ids)}
        rows = self._connection.execute(_PARTS_OF, values).all()
        return cast("Sequence[ReservedPartRow]", rows)

    def between(self, start: int, end: int) -> Sequence[ReservationRow]:
        """Those for somebody that may have had a time between two moments (µs), oldest first."""
        columns = _RESERVATIONS.c
        query = (
            select(_RESERVATIONS)
            .where(
                columns.project != "",
                columns.starts_at < end,
                or_(columns.ends_at.is_(None), columns.ends_at > start),
                or_(columns.cancelled_at.is_(None), columns.cancelled_at > start),
            )
            .order_by(columns.reservation_id)
        )
        return cast("Sequence[ReservationRow]", self._connection.execute(query).all())

    def page(
        self, *, before: str, size: int, project: str = "", node_id: str = ""
    ) -> Sequence[ReservationRow]:
        """The newest `size` reservations older than `before` (empty: the newest of all).

        Args:
            before: a reservation id.
            size: how many at most.
            project: only those for it; empty for all.
            node_id: only those of a part of this node; empty for all.
        """
        columns = _RESERVATIONS.c
        query = select(_RESERVATIONS).order_by(columns.reservation_id.desc()).limit(size)
        if before:
            query = query.where(columns.reservation_id < before)
        if project:
            query = query.where(columns.project == project)
        if node_id:
            parts = select(_PARTS.c.reservation_id).where(_PARTS.c.node_id == node_id)
            query = query.where(columns.reservation_id.in_(parts))
        return cast("Sequence[ReservationRow]", self._connection.execute(query).all())

    def add(self, values: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> None:
        """Add a reservation and its parts; `values` has every column of ReservationRow."""
        self._connection.execute(insert(_RESERVATIONS), values)
        self._connection.execute(insert(_PARTS), parts)

    def replace_parts(
        self, reservation_id: str, node_ids: Sequence[str], parts: Sequence[Any]
    ) -> None:
        """Keep these parts instead of those of some nodes; the reservation is locked.

        Args:
            reservation_id: the reservation.
            node_ids: the nodes that are left.
            parts: with the attributes of ReservedPartRow's other columns, of other nodes.
        """
        mine = _PARTS.c.reservation_id == reservation_id
        self._connection.execute(delete(_PARTS).where(mine, _PARTS.c.node_id.in_(node_ids)))
        names = ("node_id", "cpu_millis", "memory_bytes", "gpu_count", "gpu_type")
        self._connection.execute(
            insert(_PARTS),
            [
                {"reservation_id": reservation_id} | {name: getattr(part, name) for name in names}
                for part in parts
            ],
        )

    def change(self, reservation_id: str, **values: Any) -> None:
        """Set columns of a reservation that is locked."""
        one = _RESERVATIONS.c.reservation_id == reservation_id
        self._connection.execute(update(_RESERVATIONS).where(one).values(**values))

    def running_on(self, node_ids: Sequence[str]) -> Sequence[Any]:
        """What holds a part of these nodes.

        Rows of holder (a run or an allocation), node_id, project, user, cpu_millis, memory_bytes,
        gpu_uuids, gpu_millis; started_end, when it is over at the latest (None: it has not started, or there is
        no such time); time_limit (None: there is none) and grace, for what has not started.
        """
        return self._connection.execute(_RUNNING, {"node_ids": list(node_ids)}).all()

    def _first(self, query: Any, reservation_id: str) -> ReservationRow | None:
        row = self._connection.execute(query, {"reservation_id": reservation_id}).first()
        return cast("ReservationRow | None", row)
