"""Drains of many nodes."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, bindparam, func, insert, select, update

from windlass_server.storage.partial_indexes import DRAIN_NODE_ACTIVE
from windlass_server.storage.tables import DrainNodeRow, DrainRow, NodeRow

_DRAINS = DrainRow.__table__  # type: ignore[attr-defined]
_MEMBERS = DrainNodeRow.__table__  # type: ignore[attr-defined]
_NODES = NodeRow.__table__  # type: ignore[attr-defined]

_GET = select(_DRAINS).where(_DRAINS.c.drain_id == bindparam("drain_id"))
_LOCK = _GET.with_for_update()
# As Drain.Status.RUNNING.
_RUNNING = select(_DRAINS.c.drain_id).where(_DRAINS.c.status == 1).order_by(_DRAINS.c.drain_id)
_MEMBERS_OF = (
    select(_MEMBERS, _NODES.c.name, _NODES.c.maintenance, _NODES.c.removed_at)
    .join(_NODES, _NODES.c.node_id == _MEMBERS.c.node_id)
    .where(_MEMBERS.c.drain_id == bindparam("drain_id"))
    .order_by(_MEMBERS.c.position)
)
_COUNTS = (
    select(_MEMBERS.c.drain_id, _MEMBERS.c.state, _MEMBERS.c.active, func.count())
    .where(_MEMBERS.c.drain_id.in_(bindparam("drain_ids", expanding=True)))
    .group_by(_MEMBERS.c.drain_id, _MEMBERS.c.state, _MEMBERS.c.active)
)
_BUSY = select(_MEMBERS.c.node_id, _MEMBERS.c.drain_id).where(
    DRAIN_NODE_ACTIVE, _MEMBERS.c.node_id.in_(bindparam("node_ids", expanding=True))
)
# Nodes of one statement: each is a parameter of it.
_NODES_AT_ONCE = 500


class DrainStore:
    """Drains in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, drain_id: str) -> DrainRow | None:
        """The drain, or None."""
        row = self._connection.execute(_GET, {"drain_id": drain_id}).first()
        return cast("DrainRow | None", row)

    def lock(self, drain_id: str) -> DrainRow | None:
        """The drain, held against others who would move it on; or None."""
        row = self._connection.execute(_LOCK, {"drain_id": drain_id}).first()
        return cast("DrainRow | None", row)

    def running(self) -> Sequence[str]:
        """The drains that have something to do, oldest first."""
        return self._connection.execute(_RUNNING).scalars().all()

    def page(self, *, before: str, size: int, status: int = 0) -> Sequence[DrainRow]:
        """The newest `size` drains older than `before` (empty: the newest of all).

        Args:
            before: a drain id.
            size: how many at most.
            status: only drains of this status; 0 for all.
        """
        query = select(_DRAINS).order_by(_DRAINS.c.drain_id.desc()).limit(size)
        if before:
            query = query.where(_DRAINS.c.drain_id < before)
        if status:
            query = query.where(_DRAINS.c.status == status)
        return cast("Sequence[DrainRow]", self._connection.execute(query).all())

    def members(self, drain_id: str) -> Sequence[Any]:
        """The nodes of a drain in their order.

        Beside the columns of DrainNodeRow: `name`, `maintenance` and `removed_at` of each node.
        """
        return self._connection.execute(_MEMBERS_OF, {"drain_id": drain_id}).all()

    def counts(self, drain_ids: Sequence[str]) -> Sequence[tuple[str, int, bool, int]]:
        """How many nodes drains have: `(drain_id, state, active, count)`."""
        rows = self._connection.execute(_COUNTS, {"drain_ids": drain_ids}).all()
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    def busy(self, node_ids: Sequence[str]) -> dict[str, str]:
        """Which drain is not done with which of these nodes, by the node."""
        found: dict[str, str] = {}
        for first in range(0, len(node_ids), _NODES_AT_ONCE):
            some = node_ids[first : first + _NODES_AT_ONCE]
            rows = self._connection.execute(_BUSY, {"node_ids": some}).all()
            found |= {row.node_id: row.drain_id for row in rows}
        return found

    def add(self, values: Mapping[str, Any], members: Sequence[Mapping[str, Any]]) -> None:
        """Add a drain and its nodes; IntegrityError when another is not done with one of them."""
        self._connection.execute(insert(_DRAINS), values)
        self._connection.execute(insert(_MEMBERS), members)

    def change(self, drain_id: str, **values: Any) -> None:
        """Set columns of a drain that is locked."""
        one = _DRAINS.c.drain_id == drain_id
        self._connection.execute(update(_DRAINS).where(one).values(**values))

    def change_member(self, drain_id: str, position: int, **values: Any) -> None:
        """Set columns of a node of a drain that is locked."""
        one = (_MEMBERS.c.drain_id == drain_id, _MEMBERS.c.position == position)
        self._connection.execute(update(_MEMBERS).where(*one).values(**values))
