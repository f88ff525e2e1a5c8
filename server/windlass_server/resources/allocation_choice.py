"""Which part of which node an allocation gets, by the scheduler's own judgement."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from windlass.resources.v1 import resources_service_pb2
from windlass_server.access import quota_use
from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.errors import Conflict, FieldViolation, InvalidInput, WrongState
from windlass_server.resources.allocation_states import Status
from windlass_server.resources.capacity import facts_of, gpu_types_of, gpus_of
from windlass_server.resources.cluster import Cluster, never
from windlass_server.resources.gpu_sharing import require_sharing
from windlass_server.resources.pooling import require_usable, rules_of
from windlass_server.resources.reserved import moments
from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.filters import FILTERS
from windlass_server.scheduler.islands import connected, nearest
from windlass_server.scheduler.partition import undivided
from windlass_server.scheduler.plan import Placement, Waiting, plan
from windlass_server.scheduler.quota import Dimension
from windlass_server.scheduler.quota_gate import ask_of
from windlass_server.scheduler.rooms import gpu_key
from windlass_server.scheduler.snapshot import Demand, Moment, NodeState, Pool, Snapshot
from windlass_server.scheduler.topology import (
    Level,
    beside,
    emptied,
    in_one_island,
    of_free_gpus,
)
from windlass_server.storage.tables import AllocationRow, NodeRow
from windlass_server.storage.transaction import Transaction

_DIMENSIONS = {str(each.refusal): each.dimension for each in FILTERS}
# The constraints that name values of a label, and which label.
_PLACES = {"zones": "zone", "racks": "rack", "blocks": "block"}
_DOMAINS = {Level.NVLINK: "NVLink island", Level.NODE: "node", Level.RACK: "rack"}
_REQUIRED = "constraints.topology.required"
_FIELDS = {one: f"resources.{one}" for one in (Dimension.CPU, Dimension.MEMORY)} | {
    Dimension.GPU: "resources.gpu_count"
}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a node, in its pool, that can be given."""

    node_id: str
    pool: str
    cpu_millis: int
    memory_bytes: int
    gpu_uuids: tuple[str, ...]
    gpu_types: tuple[str, ...]
    level: int


@dataclass(frozen=True, slots=True)
class _Near:
    """What another allocation holds, and the domains that it is in."""

    allocation_id: str
    node: NodeRow
    gpu_uuids: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Search:
    """What is looked for, and among what.

    Attributes:
        demand: it.
        whole: a node is given with all that it has.
        near: to what it shall be near.
        domains: the domains of each node, by its id.
        moments: what of the nodes is reserved.
        now: in microseconds since 1970.
    """

    demand: Demand
    whole: bool
    near: _Near | None
    domains: dict[str, dict[Level, tuple[str, ...]]]
    moments: tuple[Moment, ...]
    now: int

    def within(self, level: int, nodes: Iterable[NodeState]) -> list[NodeState]:
        """The nodes, or parts of them, within one domain of a level; 0: as they are."""
        if level and self.near is not None:
            there = self.domains[self.near.node.node_id]
            wide = Level(max(level, Level.NODE))
            nodes = [one for one in nodes if self.domains[one.node_id][wide] == there[wide]]
        if level != Level.NVLINK:
            return list(nodes)
        if self.near is not None:
            nodes = [beside(one, self.near.gpu_uuids) for one in nodes]
        if self.whole:
            return [one for one in nodes if one.gpus and connected(one.gpus)]
        # Whoever has a share of one card is in one island wherever that is.
        if self.demand.gpu_millis:
            return list(nodes)
        return [in_one_island(one, self.demand.gpu_count) for one in nodes]

    def find(self, level: int, nodes: Sequence[NodeState]) -> Placement | Waiting:
        """A place among what is free within one domain of a level, or why there is none."""
        queue, among = (self.demand,), tuple(self.within(level, nodes))
        if nodes and not among:
            return Waiting("", "", "no node of it can be had")
        # It is given at once or not at all: no card is divided for it.
        as_they_are = tuple(map(undivided, among))
        result = plan(Snapshot(queue, as_they_are, moments=self.moments, now=self.now))
        return (result.placements or result.waiting)[0]

    def lack(self, level: int, nodes: Sequence[NodeState], pools: Sequence[Pool]) -> str:
        """Why no node could ever give it within one domain of a level; empty when one could."""
        ever = [of_free_gpus(one) for one in self.within(level, map(emptied, nodes))]
        if not ever and not pools:
            return "there is no node that meets what else is asked for"
        lack = could_ever_fit(self.demand, ever, pools)
        return "" if lack is None else lack.message

    def domain(self, level: int) -> str:
        """How a sentence calls a domain of a level."""
        name = _DOMAINS.get(Level(level), "block")
        return f"the {name} of {self.near.allocation_id}" if self.near else f"one {name}"


def choose_part(
    tx: Transaction,
    cluster: Cluster,
    full: resources_service_pb2.AllocateRequest,
    who: Caller,
    now: int,
) -> Part:
    """The part of a node to give.

    Args:
        tx: the transaction that will take it.
        cluster: what nodes there are.
        full: the request, with its defaults.
        who: who asks.
        now: in microseconds since 1970.

    Raises:
        InvalidInput: UNSATISFIABLE_RESOURCES, no node could ever give it; EXCEEDS_QUOTA, it is more than
            its owner may have; or there is no such pool.
        QuotaExceeded: it would be too much for its project or user now.
        Denied: the project may not use the pool, or any.
        NotFound: there is no allocation as that to which it shall be near, or it is foreign.
        WrongState: that is held no longer.
        Conflict: none can now.
    """
    wanted = full.constraints
    pools = rules_of(tx.pools.all())
    usable = require_usable(full.project, wanted.pool, pools, "constraints.pool")
    require_sharing(full.resources.gpu_millis, usable, pools, "resources.gpu_millis")
    demand = _demand(full, usable, who.user)
    _require_gpus(full)
    near = _near(tx, who, wanted.topology.near_allocation_id, now)
    rows = _in_places(tx.nodes.all(), full)
    nodes = cluster.look(tx, rows)
    named = near is not None or any(getattr(wanted, name) for name in _PLACES)
    around = [*rows, *([near.node] if near else [])]
    domains = {row.node_id: _domains_of(row) for row in around}
    kept = moments(tx, nodes, now)
    search = _Search(demand, wanted.exclusive_node, near, domains, kept, now)
    _require_possible(search, wanted.topology.required, nodes, () if named else cluster.pools)
    _require_quota(tx, demand)
    if wanted.exclusive_node:
        nodes = _empty(tx, rows, nodes)
    placement = _place(search, nodes, wanted.topology.preferred, wanted.topology.required)
    node = next(row for row in rows if row.node_id == placement.node_id)
    state = next(one for one in nodes if one.node_id == placement.node_id)
    if wanted.exclusive_node:
        uuids = tuple(sorted(uuid for uuid, _ in gpus_of(node)))
        return _part(node, state, node.cpu_millis, node.memory_bytes, uuids)
    return _part(node, state, demand.cpu_millis, demand.memory_bytes, placement.gpu_uuids)


def _demand(
    full: resources_service_pb2.AllocateRequest, pools: tuple[str, ...] | None, user: str
) -> Demand:
    return Demand(
        job_id="",
        priority=0,
        cpu_millis=full.resources.cpu_millis,
        memory_bytes=full.resources.memory_bytes,
        gpu_count=full.resources.gpu_count,
        gpu_type=full.resources.gpu_type,
        mig_profile=full.resources.mig_profile,
        gpu_memory_bytes=full.resources.gpu_memory_bytes,
        min_isolation=0,
        order="",
        pools=pools,
        project=full.project,
        user=user,
        time_limit=full.ttl.ToMicroseconds(),
        gpu_millis=full.resources.gpu_millis,
    )


def _require_quota(tx: Transaction, demand: Demand) -> None:
    """Look before it is searched for; of which type its GPUs are, and how large a node, is known later."""
    use, ask = quota_use.use_in(tx, demand.project), ask_of(demand, jobs=0)
    quota_use.require_ever_allowed(use, [ask], _FIELDS)
    quota_use.require_allowed(use, ask)


def _require_gpus(full: resources_service_pb2.AllocateRequest) -> None:
    wanted = full.constraints
    if int(wanted.topology.required) != Level.NVLINK or wanted.exclusive_node:
        return
    if not full.resources.gpu_count:
        message = "NVLINK joins GPUs, and resources.gpu_count asks for none"
        violation = FieldViolation(_REQUIRED, message, "TOPOLOGY_WITHOUT_GPUS")
        raise InvalidInput(message, reason=violation.reason, violations=(violation,))


def _near(tx: Transaction, who: Caller, allocation_id: str, now: int) -> _Near | None:
    """What the caller wants to be near to, while it is held."""
    if not allocation_id:
        return None
    row = tx.allocations.get(allocation_id)
    if row is None:
        raise absent("allocation", allocation_id)
    require_object(who, "allocations.get", row.project, kind="allocation", object_id=allocation_id)
    node = tx.nodes.get(row.node_id)
    if node is None or not _held(row, now):
        message = f"allocation {allocation_id} is held no longer; nothing can be near to it"
        raise WrongState(message, reason="ALLOCATION_ENDED", subject=allocation_id)
    uuids = frozenset(row.gpu_uuids.split(",") if row.gpu_uuids else ())
    return _Near(allocation_id, node, uuids)


def _held(row: AllocationRow, now: int) -> bool:
    return row.status == Status.ACTIVE and row.expires_at > now


def _in_places(
    rows: Sequence[NodeRow], full: resources_service_pb2.AllocateRequest
) -> Sequence[NodeRow]:
    for name, label in _PLACES.items():
        values = getattr(full.constraints, name)
        if not values:
            continue
        rows = [row for row in rows if facts_of(row).labels.get(label, "") in values]
        if not rows:
            what = "" if label == "zone" else f"{label} "
            message = f"no node is in {what}{' or '.join(sorted(values))}"
            raise never(f"constraints.{name}", name, message)
    return rows


def _domains_of(row: NodeRow) -> dict[Level, tuple[str, ...]]:
    """The node's domain of each level; a label that it lacks makes it a domain of its own."""
    labels = facts_of(row).labels
    zone = row.cluster, labels.get("zone", "")
    # A rack whose nodes name no block is one all the same, as for jobs (`scheduler/gang.py`).
    alone = f"\0rack {labels['rack']}" if "rack" in labels else f"\0{row.node_id}"
    block = *zone, labels.get("block", alone)
    return {
        Level.NODE: (row.node_id,),
        Level.RACK: (*block, labels["rack"]) if "rack" in labels else (row.node_id,),
        Level.BLOCK: block,
    }


def _require_possible(
    search: _Search, level: int, nodes: Sequence[NodeState], pools: Sequence[Pool]
) -> None:
    """Refuse what no node could ever give, and no pool that is declared."""
    if (lack := could_ever_fit(search.demand, nodes, pools)) is not None:
        where = "constraints" if lack.dimension == "pool" else "resources"
        raise never(f"{where}.{lack.dimension}", lack.dimension, lack.message)
    if not level or not nodes:
        return
    # One that could is the rule, and found soon.
    if any(not search.lack(level, [node], ()) for node in nodes):
        return
    if why := search.lack(level, nodes, pools):
        raise never(_REQUIRED, "topology", f"within {search.domain(level)}: {why}")


def _empty(
    tx: Transaction, rows: Sequence[NodeRow], nodes: Sequence[NodeState]
) -> tuple[NodeState, ...]:
    """Of the nodes those on which nothing is."""
    empty = {row.node_id for row in rows if not _holds_something(tx, row)}
    if rows and not empty:
        message = "something runs on every node; none can be had alone"
        raise Conflict(message, reason="NO_EMPTY_NODE", dimension="exclusive_node")
    return tuple(node for node in nodes if node.node_id in empty)


def _holds_something(tx: Transaction, node: NodeRow) -> bool:
    return bool(node.cpu_held or node.memory_held or tx.nodes.claims_on(node.node_id))


def _place(search: _Search, nodes: Sequence[NodeState], preferred: int, required: int) -> Placement:
    """The place, by what is preferred if that can be had."""
    found: Placement | Waiting | None = None
    for level in (*([preferred] if preferred else ()), required):
        found = search.find(level, nodes)
        if isinstance(found, Placement) and level == Level.NVLINK:
            return found
        if isinstance(found, Placement):
            return found if search.demand.gpu_millis else _near_each_other(found, nodes)
    anywhere = search.find(0, nodes)
    if isinstance(anywhere, Waiting):
        dimension = _DIMENSIONS.get(anywhere.reason) or "nodes"
        raise Conflict(anywhere.message, reason=anywhere.reason, dimension=dimension)
    assert isinstance(found, Waiting)
    message = f"there is room, but not within {search.domain(required)}: {found.message}"
    raise Conflict(message, reason="TOPOLOGY_UNAVAILABLE", dimension="topology")


def _near_each_other(found: Placement, nodes: Sequence[NodeState]) -> Placement:
    """The same place with GPUs as near to each other as can be, of the type that was chosen."""
    if not found.gpu_uuids:
        return found
    node = next(one for one in nodes if one.node_id == found.node_id)
    types = {gpu.uuid: gpu_key(gpu.gpu_type) for gpu in node.gpus}
    free = [
        gpu
        for gpu in node.gpus
        if gpu.healthy and not gpu.held and types[gpu.uuid] == types[found.gpu_uuids[0]]
    ]
    return replace(found, gpu_uuids=nearest(free, len(found.gpu_uuids)))


def _part(
    node: NodeRow,
    state: NodeState,
    cpu_millis: int,
    memory_bytes: int,
    gpu_uuids: tuple[str, ...],
) -> Part:
    """The part, with the narrowest level within which its GPUs lie; 0 without any."""
    gpus = [gpu for gpu in state.gpus if gpu.uuid in gpu_uuids]
    level = (Level.NVLINK if connected(gpus) else Level.NODE) if gpus else 0
    types = gpu_types_of(node, gpu_uuids)
    return Part(node.node_id, node.pool, cpu_millis, memory_bytes, gpu_uuids, types, int(level))
