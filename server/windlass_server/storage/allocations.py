"""Allocations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, bindparam, insert, select, update

from windlass_server.storage.hot import Hot
from windlass_server.storage.tables import AllocationRow

_ALLOCATIONS = AllocationRow.__table__  # type: ignore[attr-defined]
_ACTIVE = 1  # as Allocation.Status

_GET = select(_ALLOCATIONS).where(_ALLOCATIONS.c.allocation_id == bindparam("allocation_id"))
_LOCK = _GET.with_for_update()
_ALL_ACTIVE = (
    select(_ALLOCATIONS)
    .where(_ALLOCATIONS.c.status == _ACTIVE)
    .order_by(_ALLOCATIONS.c.allocation_id)
)
# Of one node, or of a page of nodes, which is all of a range but for those that a filter left out.
_ACTIVE_BETWEEN = Hot(
    _ALL_ACTIVE.where(_ALLOCATIONS.c.node_id.between(bindparam("first"), bindparam("last")))
)
_OVERDUE = _ALL_ACTIVE.where(_ALLOCATIONS.c.expires_at <= bindparam("now"))


@dataclass(frozen=True, slots=True)
class AllocationFilter:
    """Which allocations a list asks for; empty values ask for all."""

    project: str
    status: int = 0
    node_id: str = ""
    user: str = ""


class AllocationStore:
    """Allocations in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, allocation_id: str) -> AllocationRow | None:
        """The allocation, or None."""
        row = self._connection.execute(_GET, {"allocation_id": allocation_id}).first()
        return cast("AllocationRow | None", row)

    def lock(self, allocation_id: str) -> AllocationRow | None:
        """The allocation, held against other writers until the transaction ends; or None."""
        row = self._connection.execute(_LOCK, {"allocation_id": allocation_id}).first()
        return cast("AllocationRow | None", row)

    def add(self, values: Mapping[str, Any]) -> AllocationRow:
        """Add an allocation; `values` has every column but `sequence`. Returns it numbered."""
        self._connection.execute(insert(_ALLOCATIONS), values)
        added = self.get(values["allocation_id"])
        assert added is not None
        return added

    def change(self, allocation_id: str, **values: Any) -> None:
        """Set columns of an allocation that is locked."""
        self._connection.execute(
            update(_ALLOCATIONS)
            .where(_ALLOCATIONS.c.allocation_id == allocation_id)
            .values(**values)
        )

    def active_on(self, node_ids: Sequence[str]) -> Sequence[AllocationRow]:
        """The allocations that hold a part of these nodes, oldest first."""
        if not node_ids:
            return []
        between = {"first": min(node_ids), "last": max(node_ids)}
        wanted = set(node_ids)
        rows = _ACTIVE_BETWEEN.all(self._connection, between)
        return [row for row in rows if row.node_id in wanted]

    def overdue(self, now: int) -> Sequence[AllocationRow]:
        """The allocations whose time is over at `now` (µs), oldest first."""
        rows = self._connection.execute(_OVERDUE, {"now": now}).all()
        return cast("Sequence[AllocationRow]", rows)

    def page(self, wanted: AllocationFilter, *, before: str, size: int) -> Sequence[AllocationRow]:
        """The newest `size` allocations older than `before` (an id; empty: the newest of all)."""
        columns = _ALLOCATIONS.c
        query = select(_ALLOCATIONS).where(columns.project == wanted.project)
        if before:
            query = query.where(columns.allocation_id < before)
        for name in ("status", "node_id", "user"):
            if value := getattr(wanted, name):
                query = query.where(columns[name] == value)
        query = query.order_by(columns.allocation_id.desc()).limit(size)
        return cast("Sequence[AllocationRow]", self._connection.execute(query).all())
