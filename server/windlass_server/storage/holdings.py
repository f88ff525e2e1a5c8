"""What runs and allocations hold of nodes: of many nodes taken, and given back, in a few statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Connection,
    and_,
    bindparam,
    delete,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)

from windlass_server.errors import Conflict
from windlass_server.storage.gpu_shares import GpuShareStore, Share
from windlass_server.storage.hot import Hot
from windlass_server.storage.partial_indexes import RUN_ACTIVE, RUN_KEPT
from windlass_server.storage.tables import AllocationRow, GpuClaimRow, NodeRow, RunRow

_NODES = NodeRow.__table__  # type: ignore[attr-defined]
_CLAIMS = GpuClaimRow.__table__  # type: ignore[attr-defined]
_RUNS = RunRow.__table__  # type: ignore[attr-defined]
_ALLOCATIONS = AllocationRow.__table__  # type: ignore[attr-defined]

_READY = 1
# As Maintenance.State.
_OPEN = 1

_ALONE: BindParameter[bool] = bindparam("alone", type_=Boolean)
# A node that shrank below what it holds is refused by these too, whatever is asked.
_HOLD = Hot(
    update(_NODES)
    .where(
        _NODES.c.node_id == bindparam("key"),
        _NODES.c.status == _READY,
        _NODES.c.maintenance == _OPEN,
        _NODES.c.cpu_held + bindparam("cpu") <= _NODES.c.cpu_millis,
        _NODES.c.memory_held + bindparam("memory") <= _NODES.c.memory_bytes,
        # Of two that would have it alone, or one that would and any other, the second is refused.
        not_(_NODES.c.exclusive),
        or_(not_(_ALONE), _NODES.c.cpu_held + _NODES.c.memory_held == 0),
    )
    .values(
        cpu_held=_NODES.c.cpu_held + bindparam("cpu"),
        memory_held=_NODES.c.memory_held + bindparam("memory"),
        exclusive=_ALONE,
    )
)
_SET_HELD = Hot(
    update(_NODES)
    .where(_NODES.c.node_id == bindparam("key"))
    .values(
        cpu_held=bindparam("cpu"),
        memory_held=bindparam("memory"),
        # Who had it alone has given it back when nothing is held any more.
        exclusive=and_(_NODES.c.exclusive, bindparam("cpu", type_=BigInteger) > 0),
        shrunk=or_(
            bindparam("cpu") > _NODES.c.cpu_millis, bindparam("memory") > _NODES.c.memory_bytes
        ),
    )
)
_OF_NODES: BindParameter[Any] = bindparam("node_ids", expanding=True)
_BUT_OF: BindParameter[Any] = bindparam("holders", expanding=True)
_LOCK = (
    select(_NODES.c.node_id)
    .where(_NODES.c.node_id.in_(_OF_NODES))
    .order_by(_NODES.c.node_id)
    .with_for_update()
)
_STATE = Hot(
    select(_NODES.c.status, _NODES.c.maintenance).where(
        _NODES.c.node_id == bindparam("node_id"), _NODES.c.removed_at.is_(None)
    )
)
_HELD_BY_RUNS = (
    select(
        _RUNS.c.node_id,
        func.sum(_RUNS.c.cpu_millis).label("cpu"),
        func.sum(_RUNS.c.memory_bytes).label("memory"),
    )
    .where(_RUNS.c.node_id.in_(_OF_NODES), RUN_KEPT, RUN_ACTIVE, _RUNS.c.run_id.not_in(_BUT_OF))
    .group_by(_RUNS.c.node_id)
)
_HELD_BY_ALLOCATIONS = (
    select(
        _ALLOCATIONS.c.node_id,
        func.sum(_ALLOCATIONS.c.cpu_millis).label("cpu"),
        func.sum(_ALLOCATIONS.c.memory_bytes).label("memory"),
    )
    .where(
        _ALLOCATIONS.c.node_id.in_(_OF_NODES),
        _ALLOCATIONS.c.status == 1,
        _ALLOCATIONS.c.allocation_id.not_in(_BUT_OF),
    )
    .group_by(_ALLOCATIONS.c.node_id)
)
_CLAIMED = select(_CLAIMS.c.node_id, _CLAIMS.c.gpu_uuid).where(_CLAIMS.c.node_id.in_(_OF_NODES))
_CLAIM = Hot(
    insert(_CLAIMS).values(
        {name: bindparam(name) for name in ("node_id", "gpu_uuid", "run_id", "allocation_id")}
    )
)
_UNCLAIM = Hot(
    delete(_CLAIMS).where(
        or_(_CLAIMS.c.run_id == bindparam("key"), _CLAIMS.c.allocation_id == bindparam("key"))
    )
)


@dataclass(frozen=True, slots=True)
class Hold:
    """A part of a node for a run or an allocation, which is stored already and active.

    Attributes:
        node_id: the node.
        holder: the run or the allocation.
        cpu_millis: thousandths of a core.
        memory_bytes: bytes.
        gpu_uuids: its GPUs.
        share: what it gets of each of them; None: all.
        by_allocation: the holder is an allocation.
        alone: nobody else holds a part of the node, or may.
    """

    node_id: str
    holder: str
    cpu_millis: int
    memory_bytes: int
    gpu_uuids: Sequence[str]
    share: Share | None = None
    by_allocation: bool = False
    alone: bool = False


class HoldingStore:
    """What is held of nodes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._shares = GpuShareStore(connection)

    def take(self, holds: Sequence[Hold]) -> None:
        """Take all of these parts of nodes; none where one is refused, which the caller rolls back.

        Raises:
            Conflict: a node is not READY (`NODE_NOT_READY`) or takes no new work (`NODE_CORDONED`), the
                amounts do not fit (`NODE_FULL`), or one of the GPUs is not free, or has not such a share
                left (`GPU_TAKEN`).
        """
        # In the order of their ids, as everybody takes several nodes: two never wait for each other.
        grown = [_sum(those) for _, those in sorted(_by_node(holds).items())]
        if _HOLD.run_many(self._connection, grown) != len(grown):
            raise self._refusal([one["key"] for one in grown])
        self._claim([one for one in holds if one.share is None and one.gpu_uuids])
        for one in holds:
            if one.share is not None:
                for gpu in one.gpu_uuids:
                    self._shares.take(one.node_id, gpu, one.holder, one.share)

    def give_back(self, holders: Sequence[tuple[str, str]]) -> None:
        """Give back what runs or allocations hold, each with its node's id first; once or more often.

        The sums are counted anew from what else is active on the nodes, under locks on these, so that no
        order of events and no repeat can make them drift. The caller notes in the same transaction that
        the holders are not active any more, before or after this.
        """
        node_ids = sorted({node_id for node_id, _ in holders})
        ids = [holder for _, holder in holders]
        self._connection.execute(_LOCK, {"node_ids": node_ids})
        held: dict[str, dict[str, Any]] = {
            node_id: {"key": node_id, "cpu": 0, "memory": 0} for node_id in node_ids
        }
        for query in (_HELD_BY_RUNS, _HELD_BY_ALLOCATIONS):
            values = {"node_ids": node_ids, "holders": ids}
            for node_id, cpu, memory in self._connection.execute(query, values):
                # PostgreSQL sums a BIGINT to a NUMERIC.
                held[node_id]["cpu"] += int(cpu)
                held[node_id]["memory"] += int(memory)
        _SET_HELD.run_many(self._connection, list(held.values()))
        _UNCLAIM.run_many(self._connection, [{"key": holder} for holder in ids])
        self._shares.give_back(ids)

    def _claim(self, holds: Sequence[Hold]) -> None:
        if not holds:
            return
        node_ids = sorted({one.node_id for one in holds})
        rows = self._connection.execute(_CLAIMED, {"node_ids": node_ids})
        taken = {(row.node_id, row.gpu_uuid) for row in rows}
        claims: list[dict[str, Any]] = []
        for one in holds:
            claimant = {
                "run_id": None if one.by_allocation else one.holder,
                "allocation_id": one.holder if one.by_allocation else None,
            }
            for gpu in sorted(one.gpu_uuids):
                if (one.node_id, gpu) in taken:
                    message = f"GPU {gpu} of node {one.node_id} is not free any more"
                    raise Conflict(message, reason="GPU_TAKEN", node_id=one.node_id, gpu_uuid=gpu)
                taken.add((one.node_id, gpu))
                claims.append({"node_id": one.node_id, "gpu_uuid": gpu, **claimant})
        _CLAIM.run_many(self._connection, claims)

    def _refusal(self, node_ids: Sequence[str]) -> Conflict:
        """Why one of these nodes cannot be held: the first that cannot in any case, else that it is full."""
        for node_id in node_ids:
            node = _STATE.first(self._connection, {"node_id": node_id})
            if node is None or node.status != _READY:
                message = f"node {node_id} is not ready"
                return Conflict(message, reason="NODE_NOT_READY", node_id=node_id)
            if node.maintenance != _OPEN:
                message = f"node {node_id} takes no new work"
                return Conflict(message, reason="NODE_CORDONED", node_id=node_id)
        (which, *others) = node_ids
        message = f"node {which}{' or another' if others else ''} has not so much left"
        return Conflict(message, reason="NODE_FULL", node_id=which)


def _by_node(holds: Sequence[Hold]) -> dict[str, list[Hold]]:
    nodes: dict[str, list[Hold]] = {}
    for one in holds:
        nodes.setdefault(one.node_id, []).append(one)
    return nodes


def _sum(holds: Sequence[Hold]) -> dict[str, Any]:
    """What is taken of a node altogether. Raises Conflict where one of several would have it alone."""
    node_id, alone = holds[0].node_id, any(one.alone for one in holds)
    if alone and len(holds) > 1:
        message = f"node {node_id} has not so much left"
        raise Conflict(message, reason="NODE_FULL", node_id=node_id)
    return {
        "key": node_id,
        "cpu": sum(one.cpu_millis for one in holds),
        "memory": sum(one.memory_bytes for one in holds),
        "alone": alone,
    }
