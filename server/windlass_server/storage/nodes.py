"""Nodes and what of them is taken."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    Connection,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from windlass_server.storage.gpu_shares import Share
from windlass_server.storage.holdings import Hold, HoldingStore
from windlass_server.storage.hot import Hot
from windlass_server.storage.partial_indexes import NODE_AILS
from windlass_server.storage.tables import GpuClaimRow, NodeRow

_NODES = NodeRow.__table__  # type: ignore[attr-defined]
_CLAIMS = GpuClaimRow.__table__  # type: ignore[attr-defined]

_READY = 1
_UNREACHABLE = 2
# As Maintenance.State.
_DRAINING = 3

# Nodes that were removed are there for what refers to them alone.
_THERE = select(_NODES).where(_NODES.c.removed_at.is_(None))
_GET = _THERE.where(_NODES.c.node_id == bindparam("node_id"))
_POOL_OF = Hot(select(_NODES.c.pool).where(_NODES.c.node_id == bindparam("node_id")))
_LOCK = _GET.with_for_update()
_BY_KEY = select(_NODES).where(_NODES.c.public_key == bindparam("public_key"))
_IN_ORDER = _THERE.order_by(_NODES.c.node_id)
_ALL = Hot(_IN_ORDER)
_OF_CLUSTER = _THERE.where(_NODES.c.cluster == bindparam("cluster")).limit(1)
_SOME = _IN_ORDER.where(_NODES.c.node_id.in_(bindparam("node_ids", expanding=True)))
_LOCK_SOME = _SOME.with_for_update()
_PAGE = _IN_ORDER.where(_NODES.c.node_id > bindparam("after")).limit(bindparam("size"))
_ALL_DRAINING = _IN_ORDER.where(_NODES.c.maintenance == _DRAINING)
_ALL_AILING = _IN_ORDER.where(NODE_AILS)
_INSERT = insert(_NODES)
# What is held is compared in the statement itself: it may have changed since the row was read.
_HELLO = (
    update(_NODES)
    .where(_NODES.c.node_id == bindparam("key"), _NODES.c.removed_at.is_(None))
    .values(
        name=bindparam("new_name"),
        status=_READY,
        status_reason=bindparam("reason"),
        status_message=bindparam("message"),
        inventory=bindparam("new_inventory"),
        pool=bindparam("new_pool"),
        cpu_millis=bindparam("cpu"),
        memory_bytes=bindparam("memory"),
        shrunk=or_(
            _NODES.c.cpu_held > bindparam("cpu"), _NODES.c.memory_held > bindparam("memory")
        ),
        connected_at=bindparam("at"),
        last_seen_at=bindparam("seen"),
    )
)
_ASSIGN = (
    update(_NODES)
    .where(_NODES.c.node_id == bindparam("key"))
    .values(
        pool=bindparam("new_pool"),
        cpu_millis=bindparam("cpu"),
        memory_bytes=bindparam("memory"),
        shrunk=or_(
            _NODES.c.cpu_held > bindparam("cpu"), _NODES.c.memory_held > bindparam("memory")
        ),
    )
)
_LOSE = (
    update(_NODES)
    .where(
        _NODES.c.node_id == bindparam("key"),
        _NODES.c.status == _READY,
        _NODES.c.last_seen_at <= bindparam("seen"),
    )
    .values(
        status=_UNREACHABLE, status_reason=bindparam("reason"), status_message=bindparam("message")
    )
)
_TOUCH = Hot(
    update(_NODES)
    .where(_NODES.c.node_id == bindparam("key"), _NODES.c.last_seen_at < bindparam("at"))
    .values(last_seen_at=bindparam("at"))
)
_CLAIMS_ON = Hot(select(_CLAIMS).where(_CLAIMS.c.node_id == bindparam("node_id")))
_HOLDERS = Hot(
    select(
        _CLAIMS.c.node_id,
        _CLAIMS.c.gpu_uuid,
        func.coalesce(_CLAIMS.c.run_id, _CLAIMS.c.allocation_id).label("holder"),
    ).where(or_(_CLAIMS.c.run_id.is_not(None), _CLAIMS.c.allocation_id.is_not(None)))
)
_ALL_CLAIMS = select(_CLAIMS).order_by(_CLAIMS.c.node_id, _CLAIMS.c.gpu_uuid)
_CLAIMS_OF = _ALL_CLAIMS.where(_CLAIMS.c.node_id.in_(bindparam("node_ids", expanding=True)))


class NodeStore:
    """Nodes and GPU claims in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._holdings = HoldingStore(connection)

    def get(self, node_id: str) -> NodeRow | None:
        """The node, or None."""
        return cast("NodeRow | None", self._connection.execute(_GET, {"node_id": node_id}).first())

    def pool_of(self, node_id: str) -> str:
        """The pool that the node is in."""
        (row,) = _POOL_OF.all(self._connection, {"node_id": node_id})
        return str(row.pool)

    def by_public_key(self, public_key: bytes) -> NodeRow | None:
        """The node that joined with this key, also when it was removed since; or None."""
        row = self._connection.execute(_BY_KEY, {"public_key": public_key}).first()
        return cast("NodeRow | None", row)

    def add(self, values: Mapping[str, Any]) -> None:
        """Add a node; `values` has every column of NodeRow."""
        self._connection.execute(_INSERT, values)

    def lock(self, node_id: str) -> NodeRow | None:
        """The node, held against other writers until the transaction ends; or None."""
        return cast("NodeRow | None", self._connection.execute(_LOCK, {"node_id": node_id}).first())

    def lock_all(self, node_ids: Sequence[str]) -> Sequence[NodeRow]:
        """Those of these nodes that there are, oldest first, held in the same way."""
        rows = self._connection.execute(_LOCK_SOME, {"node_ids": node_ids}).all()
        return cast("Sequence[NodeRow]", rows)

    def change(self, node_id: str, **values: Any) -> None:
        """Set columns of a node that is locked."""
        self._connection.execute(update(_NODES).where(_NODES.c.node_id == node_id).values(**values))

    def draining(self) -> Sequence[NodeRow]:
        """The nodes that are being emptied, oldest first."""
        return cast("Sequence[NodeRow]", self._connection.execute(_ALL_DRAINING).all())

    def page(self, *, after: str, size: int, **columns: int | str) -> Sequence[NodeRow]:
        """The oldest `size` nodes behind `after` (a node id; empty: from the first on).

        Args:
            after: the last node id of the page before.
            size: how many nodes at most.
            columns: what columns such as `status`, `maintenance` and `cluster` must be; 0 and empty
                ask for nothing.
        """
        asked = {name: value for name, value in columns.items() if value}
        page = _page_where(tuple(asked))
        return page.all(self._connection, {"after": after, "size": size, **asked})

    def any_of_cluster(self, cluster: str) -> bool:
        """Whether a cluster has nodes."""
        return self._connection.execute(_OF_CLUSTER, {"cluster": cluster}).first() is not None

    def ailing(self) -> Sequence[NodeRow]:
        """The nodes whose health can change by itself, oldest first."""
        return cast("Sequence[NodeRow]", self._connection.execute(_ALL_AILING).all())

    def all(self) -> Sequence[NodeRow]:
        """Every node, oldest first."""
        return _ALL.all(self._connection, {})

    def some(self, node_ids: Sequence[str]) -> Sequence[NodeRow]:
        """Those of these nodes that there are, oldest first."""
        rows = self._connection.execute(_SOME, {"node_ids": list(node_ids)}).all()
        return cast("Sequence[NodeRow]", rows)

    def connected_at(self) -> dict[str, int]:
        """When each node last said hello (µs since 1970); 0 for those that never have."""
        rows = self._connection.execute(
            select(_NODES.c.node_id, _NODES.c.connected_at).where(_NODES.c.removed_at.is_(None))
        ).all()
        return {row.node_id: row.connected_at or 0 for row in rows}

    def hello(
        self,
        node_id: str,
        *,
        name: str,
        inventory: bytes,
        pool: str,
        cpu_millis: int,
        memory_bytes: int,
        reason: str,
        message: str,
        at: int,
        seen_at: int,
    ) -> bool:
        """Store what a connected node says it has, and that it is READY, `seen_at` as in `touch`.

        A node that comes back smaller than what its runs hold is marked `shrunk`: it keeps them and
        takes nothing new until it fits again.

        Returns:
            False when there is no such node.
        """
        values = {
            "key": node_id,
            "new_name": name,
            "new_inventory": inventory,
            "new_pool": pool,
            "cpu": cpu_millis,
            "memory": memory_bytes,
            "reason": reason,
            "message": message,
            "at": at,
            "seen": seen_at,
        }
        return self._connection.execute(_HELLO, values).rowcount == 1

    def assign(self, nodes: Sequence[tuple[str, str, int, int]]) -> None:
        """Put nodes into pools: the id, the pool, CPU and memory that may be held of each.

        One of which more is held than may be is marked `shrunk`, as in `hello`.
        """
        if nodes:
            names = ("key", "new_pool", "cpu", "memory")
            self._connection.execute(
                _ASSIGN, [dict(zip(names, node, strict=True)) for node in nodes]
            )

    def mark_unreachable(self, node_id: str, *, seen_at: int, reason: str, message: str) -> bool:
        """Move a READY node to UNREACHABLE. Its runs and what they hold stay as they are.

        Args:
            node_id: the node.
            seen_at: when the caller last heard it; nothing is done when it was heard later, which
                was then by somebody else.
            reason: UPPER_SNAKE.
            message: the same for people.

        Returns:
            Whether it was moved.
        """
        values = {"key": node_id, "seen": seen_at, "reason": reason, "message": message}
        return self._connection.execute(_LOSE, values).rowcount == 1

    def touch(self, node_id: str, at: int) -> None:
        """Store that the node was heard: every 10 s will do. It never goes back."""
        _TOUCH.run(self._connection, {"key": node_id, "at": at})

    def hold(
        self,
        node_id: str,
        holder: str,
        *,
        cpu_millis: int,
        memory_bytes: int,
        gpu_uuids: Sequence[str],
        share: Share | None = None,
        by_allocation: bool = False,
        alone: bool = False,
    ) -> None:
        """Take a part of a node for a run or an allocation, which is stored already and active.

        Args:
            node_id: the node.
            holder: the run or the allocation.
            cpu_millis: thousandths of a core.
            memory_bytes: bytes.
            gpu_uuids: its GPUs.
            share: what it gets of each of them; None: all.
            by_allocation: the holder is an allocation.
            alone: nobody else holds a part of it, or may.

        Raises:
            Conflict: the node is not READY (`NODE_NOT_READY`) or takes no new work
                (`NODE_CORDONED`), the amounts do not fit (`NODE_FULL`), or one of the GPUs is not
                free, or has not such a share left (`GPU_TAKEN`).
        """
        self.hold_all(
            [
                Hold(
                    node_id,
                    holder,
                    cpu_millis=cpu_millis,
                    memory_bytes=memory_bytes,
                    gpu_uuids=gpu_uuids,
                    share=share,
                    by_allocation=by_allocation,
                    alone=alone,
                )
            ]
        )

    def hold_all(self, holds: Sequence[Hold]) -> None:
        """Take parts of nodes as `hold` does: all of them, or none, which the caller rolls back."""
        self._holdings.take(holds)

    def release(self, node_id: str, holder: str) -> None:
        """Give back what a run or an allocation holds, once or more often; see `release_all`."""
        self.release_all([(node_id, holder)])

    def release_all(self, holders: Sequence[tuple[str, str]]) -> None:
        """Give back what runs or allocations hold, each with its node's id first; once or more often.

        The caller notes in the same transaction that the holders are not active any more, before or
        after this.
        """
        self._holdings.give_back(holders)

    def claims_on(self, node_id: str) -> Sequence[GpuClaimRow]:
        """The GPUs of a node that are not free."""
        rows = _CLAIMS_ON.all(self._connection, {"node_id": node_id})
        return cast("Sequence[GpuClaimRow]", rows)

    def all_claims(self) -> Sequence[GpuClaimRow]:
        """Every GPU that is not free, node by node."""
        return cast("Sequence[GpuClaimRow]", self._connection.execute(_ALL_CLAIMS).all())

    def claims_of(self, node_ids: Sequence[str]) -> Sequence[GpuClaimRow]:
        """The GPUs of these nodes that are not free, node by node."""
        rows = self._connection.execute(_CLAIMS_OF, {"node_ids": list(node_ids)}).all()
        return cast("Sequence[GpuClaimRow]", rows)

    def holders(self) -> Sequence[tuple[str, str, str]]:
        """Node, UUID and holder of every GPU that a run or an allocation has alone, in any order."""
        return cast("Sequence[tuple[str, str, str]]", _HOLDERS.all(self._connection, {}))


@cache
def _page_where(names: tuple[str, ...]) -> Hot:
    """A page of the nodes whose columns of these names are as asked."""
    return Hot(_PAGE.where(*(_NODES.c[name] == bindparam(name) for name in names)))
