"""The groups that nodes are in: authorise, load, decide, store."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from windlass.resources.v1 import pool_pb2
from windlass_server.access.policy import ORGANISATION, Caller, absent, require
from windlass_server.clock import Clock
from windlass_server.errors import AlreadyExists, FieldViolation, InvalidInput, WrongState
from windlass_server.paging import PageTokens, page_size
from windlass_server.resources.capacity import facts_of
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.pooling import PoolRules, moved, rules_of, selects_something
from windlass_server.scheduler.fragmentation import Report, TaskClass, fragmentation
from windlass_server.scheduler.snapshot import WHOLE, NodeState
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed, row
from windlass_server.storage.tables import DEFAULT_POOL, NodeRow, PoolRow
from windlass_server.storage.transaction import Transaction
from windlass_server.updates import merged, require_etag

CHANGEABLE = (
    "description", "selector", "priority", "overcommit", "allowed_projects", "sharing",
)  # fmt: skip
"""What an update may change."""

MAX_POOLS = 256
"""More than anybody needs: each is asked for each node that connects."""

_QUERY = "pools"


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool, what callers said of it, and its nodes.

    Attributes:
        nodes: its nodes, each as its row and as the scheduler sees it.
        placed: jobs that hold a part of them, by status.
        waiting: jobs that wait and could run on them.
        fragmentation: what their idle GPUs are worth to those.
    """

    row: PoolRow
    spec: pool_pb2.Pool
    nodes: Sequence[tuple[NodeRow, NodeState]]
    placed: Mapping[int, int]
    waiting: int
    fragmentation: Report


class PoolsService:
    """The pools, by name. `default` always exists.

    Args:
        cluster: sees nodes as the scheduler does.
        page_tokens: makes list tokens.
        capacity_changed: called when nodes went to other pools, or others may use them.
    """

    def __init__(
        self,
        database: Database,
        cluster: Cluster,
        clock: Clock,
        page_tokens: PageTokens,
        capacity_changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._cluster = cluster
        self._clock = clock
        self._page_tokens = page_tokens
        self._capacity_changed = capacity_changed

    async def ensure_default(self) -> None:
        """Make the pool `default` unless it is there: at each start of a server."""
        spec = pool_pb2.Pool(description="Nodes that no other pool takes")
        await self._database.write(lambda tx: tx.pools.add(self._columns(DEFAULT_POOL, spec)))

    async def list(self, who: Caller, *, size: int, token: str) -> tuple[Sequence[PoolView], str]:
        """A page of pools by name, and the token of the next one."""
        require(who, "pools.list", ORGANISATION)
        size = page_size(size)
        behind = self._page_tokens.read(_QUERY, token) if token else ""

        def load(tx: Transaction) -> tuple[Sequence[PoolView], bool]:
            found = [pool for pool in tx.pools.all() if pool.pool_id > behind]
            return self._views(tx, found[:size]), len(found) > size

        found, more = await self._database.read(load)
        return found, self._page_tokens.make(_QUERY, found[-1].row.pool_id) if more else ""

    async def get(self, who: Caller, pool_id: str) -> PoolView:
        """A pool; NotFound when there is none of that name."""
        require(who, "pools.get", ORGANISATION)

        def load(tx: Transaction) -> PoolView:
            pool = tx.pools.get(pool_id)
            if pool is None:
                raise absent("pool", pool_id)
            return self._views(tx, [pool])[0]

        return await self._database.read(load)

    async def create(self, who: Caller, wanted: pool_pb2.Pool) -> PoolView:
        """Make a pool, which takes the nodes that it selects.

        Raises:
            AlreadyExists: there is one of that name.
            InvalidInput: it selects nothing, or allows projects that there are not.
            WrongState: there are too many.
        """
        require(who, "pools.create", ORGANISATION)
        columns = self._columns(wanted.pool_id, wanted)

        def store(tx: Transaction) -> PoolView:
            if len(tx.pools.all_locked()) >= MAX_POOLS:
                message = f"there are {MAX_POOLS} pools, which is the most that there can be"
                raise WrongState(message, reason="TOO_MANY_POOLS", subject="pools")
            _require_sound(tx, wanted.pool_id, pool_pb2.Pool.FromString(columns["spec"]))
            if not tx.pools.add(columns):
                message = f"there is a pool {wanted.pool_id!r} already"
                raise AlreadyExists(message, reason="POOL_EXISTS", pool=wanted.pool_id)
            self._regroup(tx)
            return self._views(tx, [row(PoolRow, columns)])[0]

        return await self._database.write(store)

    async def update(self, who: Caller, wanted: pool_pb2.Pool, mask: Sequence[str]) -> PoolView:
        """Change what callers say of a pool; nodes go where they then belong. As it was: nothing is.

        Raises:
            NotFound: there is none of that name.
            InvalidInput: the mask names a field that cannot be changed, or the pool would select
                nothing or allow projects that there are not.
            Conflict: it is not as `wanted.etag` says.
        """
        require(who, "pools.update", ORGANISATION)

        def store(tx: Transaction) -> PoolView:
            old = _found(tx.pools.all_locked(), wanted.pool_id)
            require_etag("pool", old.version, wanted.etag)
            spec = merged(pool_pb2.Pool.FromString(old.spec), wanted, mask, CHANGEABLE)
            if spec.SerializeToString(deterministic=True) == old.spec:
                return self._views(tx, [old])[0]
            _require_sound(tx, old.pool_id, spec)
            values = {
                "spec": spec.SerializeToString(deterministic=True),
                "version": old.version + 1,
                "updated_at": self._clock.now(),
            }
            tx.pools.change(old.pool_id, **values)
            self._regroup(tx)
            return self._views(tx, [changed(old, **values)])[0]

        return await self._database.write(store)

    async def delete(self, who: Caller, pool_id: str, etag: str) -> PoolView:
        """Remove a pool; its nodes go to the others.

        Raises:
            NotFound: there is none of that name.
            Conflict: it is not as `etag` says.
            WrongState: it is `default`.
        """
        require(who, "pools.delete", ORGANISATION)

        def store(tx: Transaction) -> PoolView:
            old = _found(tx.pools.all_locked(), pool_id)
            require_etag("pool", old.version, etag)
            if pool_id == DEFAULT_POOL:
                message = "the pool 'default' always exists"
                raise WrongState(message, reason="DEFAULT_POOL", subject=pool_id, pool=pool_id)
            view = self._views(tx, [old])[0]
            tx.pools.remove(pool_id)
            self._regroup(tx)
            return view

        return await self._database.write(store)

    def _regroup(self, tx: Transaction) -> None:
        """Put every node where it belongs by the pools as they are now."""
        nodes = [(node, facts_of(node)) for node in tx.nodes.all()]
        tx.nodes.assign(
            [
                (node_id, to.pool, to.cpu_millis, to.memory_bytes)
                for node_id, to in moved(nodes, rules_of(tx.pools.all()))
            ]
        )
        tx.after_commit(self._capacity_changed)

    def _views(self, tx: Transaction, pools: Sequence[PoolRow]) -> Sequence[PoolView]:
        nodes = tx.nodes.all()
        by_pool: dict[str, list[tuple[NodeRow, NodeState]]] = {}
        for pair in zip(nodes, self._cluster.look(tx, nodes), strict=True):
            by_pool.setdefault(pair[0].pool, []).append(pair)
        placed: dict[str, Counter[int]] = {}
        for (pool, status), jobs in tx.pools.placed_jobs().items():
            placed.setdefault(pool, Counter())[status] += jobs
        waiting, classes = tx.pools.waiting_jobs(), tx.pools.waiting_classes()
        rules = {one.pool_id: one for one in rules_of(pools)}
        return [
            PoolView(
                pool,
                pool_pb2.Pool.FromString(pool.spec),
                by_pool.get(pool.pool_id, ()),
                placed.get(pool.pool_id, {}),
                _waiting_for(rules[pool.pool_id], waiting),
                fragmentation(
                    [state for _, state in by_pool.get(pool.pool_id, ())],
                    _classes_for(rules[pool.pool_id], classes),
                ),
            )
            for pool in pools
        ]

    def _columns(self, pool_id: str, wanted: pool_pb2.Pool) -> dict[str, Any]:
        now = self._clock.now()
        spec = merged(pool_pb2.Pool(), wanted, CHANGEABLE, CHANGEABLE)
        return {
            "pool_id": pool_id,
            "spec": spec.SerializeToString(deterministic=True),
            "version": 1,
            "created_at": now,
            "updated_at": now,
        }


def _waiting_for(pool: PoolRules, waiting: Mapping[tuple[str, str], int]) -> int:
    return sum(
        jobs
        for (project, chosen), jobs in waiting.items()
        if chosen in ("", pool.pool_id) and pool.admits(project)
    )


def _classes_for(pool: PoolRules, classes: Sequence[Any]) -> list[tuple[TaskClass, int]]:
    """What waits with GPUs and could run in a pool."""
    return [
        (_class_of(one), one.jobs)
        for one in classes
        if one.pool in ("", pool.pool_id)
        and pool.admits(one.project)
        and (pool.max_sharers or not one.gpu_millis)
    ]


def _class_of(one: Any) -> TaskClass:
    share = one.gpu_millis or WHOLE
    return TaskClass(one.gpu_count, one.gpu_type, one.cpu_millis, one.memory_bytes, share)


def _found(pools: Sequence[PoolRow], pool_id: str) -> PoolRow:
    for pool in pools:
        if pool.pool_id == pool_id:
            return pool
    raise absent("pool", pool_id)


def _require_sound(tx: Transaction, pool_id: str, spec: pool_pb2.Pool) -> None:
    """Refuse what the rules of single fields cannot say. Raises InvalidInput."""
    violations = [*_selection_violations(pool_id, spec)]
    for index, project in enumerate(spec.allowed_projects):
        if not tx.access.has_project(project):
            violations.append(
                FieldViolation(
                    f"pool.allowed_projects[{index}]",
                    f"there is no project {project!r}",
                    "PROJECT_NOT_FOUND",
                )
            )
    if violations:
        first = violations[0]
        raise InvalidInput(first.description, reason=first.reason, violations=tuple(violations))


def _selection_violations(pool_id: str, spec: pool_pb2.Pool) -> Sequence[FieldViolation]:
    selects = selects_something(spec.selector)
    if pool_id == DEFAULT_POOL and (selects or spec.priority):
        field = "pool.selector" if selects else "pool.priority"
        message = "the pool 'default' has the nodes that no other one takes; it selects none itself"
        return [FieldViolation(field, message, "DEFAULT_POOL")]
    if pool_id != DEFAULT_POOL and not selects:
        message = "a pool needs labels, GPU types, zones or clusters to select nodes by"
        return [FieldViolation("pool.selector", message, "SELECTS_NOTHING")]
    return []
