"""Which pool a node is in, how much of it may be handed out, and who may use it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from windlass.resources.v1 import pool_pb2
from windlass_server.errors import Denied, FieldViolation, InvalidInput
from windlass_server.resources.capacity import Facts
from windlass_server.scheduler.snapshot import WHOLE
from windlass_server.storage.tables import DEFAULT_POOL, NodeRow, PoolRow

# The most that a database's column holds is 2^63 - 1; sums of what is held must stay below it, too.
_MOST = 1 << 62


@dataclass(frozen=True, slots=True)
class PoolRules:
    """What operators said of a pool, ready to be asked.

    Attributes:
        pool_id: its name.
        priority: of several pools that take a node the highest has it.
        labels: that a node must carry.
        gpu_types: of which a node must have one, in lower case; empty: whatever it has.
        zones: of which a node must be in one; empty: wherever it is.
        clusters: of which a node must belong to one; empty: to whichever.
        cpu_ratio: CPU to hand out, as a multiple of what there is.
        memory_ratio: the same of memory.
        projects: who may use it; empty: everybody.
        max_sharers: how many may share one of its GPUs; 0: none may.
    """

    pool_id: str
    priority: int
    labels: Mapping[str, str]
    gpu_types: frozenset[str]
    zones: frozenset[str]
    clusters: frozenset[str]
    cpu_ratio: float
    memory_ratio: float
    projects: frozenset[str]
    max_sharers: int

    def takes(self, facts: Facts, cluster: str) -> bool:
        """Whether a node meets everything that it asks for."""
        return (
            all(facts.labels.get(key) == value for key, value in self.labels.items())
            and (not self.zones or facts.zone in self.zones)
            and (not self.clusters or cluster in self.clusters)
            and (not self.gpu_types or not self.gpu_types.isdisjoint(_types(facts)))
        )

    def admits(self, project: str) -> bool:
        """Whether the project may use it."""
        return not self.projects or project in self.projects


@dataclass(frozen=True, slots=True)
class Assignment:
    """The pool of a node, and what of the node may be handed out."""

    pool: str
    cpu_millis: int
    memory_bytes: int


def rules_of(pools: Sequence[PoolRow]) -> tuple[PoolRules, ...]:
    """The rules of pools, in the order in which they take nodes; the default one is the last."""
    rules = {pool.pool_id: _read(pool.pool_id, bytes(pool.spec)) for pool in pools}
    # It always exists, also before a first start has stored it.
    rules.setdefault(DEFAULT_POOL, _read(DEFAULT_POOL, b""))
    return tuple(sorted(rules.values(), key=_turn))


def assign(facts: Facts, cluster: str, pools: Sequence[PoolRules]) -> Assignment:
    """Where a node goes.

    Args:
        facts: what it says of itself.
        cluster: that it belongs to.
        pools: as `rules_of` orders them.
    """
    # The default one, at the end, selects nothing and so takes every node.
    pool = next(pool for pool in pools if pool.takes(facts, cluster))
    return Assignment(
        pool.pool_id,
        _times(facts.cpu_millis, pool.cpu_ratio),
        _times(facts.memory_bytes, pool.memory_ratio),
    )


def usable(project: str, chosen: str, pools: Sequence[PoolRules]) -> tuple[str, ...] | None:
    """The pools on whose nodes work of a project may be, by name; None for any.

    Args:
        project: whose work it is.
        chosen: the pool that it asks for; empty for none. One that there is not, any more, is
            answered: no node is in it.
        pools: all of them.
    """
    closed = {pool.pool_id for pool in pools if not pool.admits(project)}
    if chosen:
        return () if chosen in closed else (chosen,)
    return tuple(sorted({pool.pool_id for pool in pools} - closed)) if closed else None


def require_usable(
    project: str, chosen: str, pools: Sequence[PoolRules], field: str
) -> tuple[str, ...] | None:
    """As `usable`, for what is asked for anew.

    Raises:
        InvalidInput: there is no such pool.
        Denied: the project may not use it, or none at all.
    """
    if chosen and chosen not in {pool.pool_id for pool in pools}:
        message = f"there is no pool {chosen!r}"
        violations = (FieldViolation(field, message, "POOL_NOT_FOUND"),)
        raise InvalidInput(message, reason="POOL_NOT_FOUND", violations=violations, pool=chosen)
    found = usable(project, chosen, pools)
    if found == ():
        what = f"pool {chosen!r}" if chosen else "any pool"
        message = f"project {project!r} may not use {what}"
        raise Denied(message, reason="POOL_NOT_ALLOWED", project=project, pool=chosen)
    return found


def moved(
    nodes: Sequence[tuple[NodeRow, Facts]], pools: Sequence[PoolRules]
) -> list[tuple[str, Assignment]]:
    """The nodes, by id, that go elsewhere by these pools, or of which another amount is handed out."""
    found = []
    for node, facts in nodes:
        to = assign(facts, node.cluster, pools)
        if to != Assignment(node.pool, node.cpu_millis, node.memory_bytes):
            found.append((node.node_id, to))
    return found


def selects_something(selector: pool_pb2.PoolSelector) -> bool:
    """Whether it asks for anything."""
    return bool(selector.labels or selector.gpu_types or selector.zones or selector.clusters)


def _turn(pool: PoolRules) -> tuple[bool, int, str]:
    return pool.pool_id == DEFAULT_POOL, -pool.priority, pool.pool_id


@lru_cache(maxsize=1024)
def _read(pool_id: str, spec: bytes) -> PoolRules:
    said = pool_pb2.Pool.FromString(spec)
    selector = said.selector
    return PoolRules(
        pool_id=pool_id,
        priority=said.priority,
        labels=dict(selector.labels),
        gpu_types=frozenset(one.lower() for one in selector.gpu_types),
        zones=frozenset(selector.zones),
        clusters=frozenset(selector.clusters),
        cpu_ratio=said.overcommit.cpu_ratio or 1.0,
        memory_ratio=said.overcommit.memory_ratio or 1.0,
        projects=frozenset(said.allowed_projects),
        max_sharers=_max_sharers(said.sharing),
    )


def _max_sharers(said: pool_pb2.GpuSharing) -> int:
    # More than a thousand shares there cannot be.
    return (said.max_jobs_per_gpu or WHOLE) if said.enabled else 0


def _types(facts: Facts) -> set[str]:
    return {gpu_type.lower() for _, gpu_type in facts.gpus}


def _times(amount: int, ratio: float) -> int:
    return amount if ratio == 1.0 else min(int(amount * ratio), _MOST)
