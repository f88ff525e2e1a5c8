"""Gives parts of nodes to holders for a time: authorise, load, decide, store."""

from collections.abc import Callable, Sequence
from typing import Any

from windlass.resources.v1 import resources_service_pb2
from windlass_server import actors
from windlass_server.access import quota_use
from windlass_server.access.policy import Caller, Role, absent, require, require_object, role_in
from windlass_server.clock import Clock
from windlass_server.errors import Conflict, Denied, LostRace
from windlass_server.idempotency import Asked
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens, page_size
from windlass_server.resources.allocation_choice import Part, choose_part
from windlass_server.resources.allocation_states import Event, Status, after
from windlass_server.resources.capacity import require_there
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.gpu_asks import gpu_count_of
from windlass_server.resources.gpu_sharing import share_on
from windlass_server.resources.renewal import require_not_reserved
from windlass_server.resources.reserved import moments
from windlass_server.storage.allocations import AllocationFilter
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed
from windlass_server.storage.tables import AllocationRow
from windlass_server.storage.transaction import Transaction

DEFAULT_CPU_MILLIS = 1000
DEFAULT_MEMORY_BYTES = 256 * 1024 * 1024
DEFAULT_TTL_SECONDS = 600

_ALLOCATE = "allocations.create"
_ENDED = {
    Event.RELEASE: ("RELEASED", "was given back"),
    Event.EXPIRE: ("LEASE_EXPIRED", "was not renewed in time"),
    Event.REVOKE: ("NODE_DRAINED", "was taken back to empty its node"),
}


class AllocationsService:
    """The parts of nodes that are held without jobs.

    Args:
        cluster: what nodes there are.
        capacity_changed: called when something was taken or given back.
    """

    def __init__(
        self,
        database: Database,
        cluster: Cluster,
        clock: Clock,
        ids: IdSource,
        page_tokens: PageTokens,
        capacity_changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._cluster = cluster
        self._clock = clock
        self._ids = ids
        self._page_tokens = page_tokens
        self._capacity_changed = capacity_changed

    async def allocate(
        self, who: Caller, wanted: resources_service_pb2.AllocateRequest
    ) -> AllocationRow:
        """Take a part of a node, whole or not at all, in a project that the caller may charge.

        Args:
            who: the caller; it has been authorised for the request's project.
            wanted: valid by the rules in the protos; not changed.

        Raises:
            InvalidInput: UNSATISFIABLE_RESOURCES, no node could ever give it; EXCEEDS_QUOTA, it is more
                than its owner may have; or there is no such pool.
            QuotaExceeded: it would be too much for its project or user now.
            Denied: the project may not use the pool, or any.
            NotFound: there is no such project, or no allocation as it shall be near to.
            WrongState: that is held no longer.
            Conflict: none can now, or `request_id` was used for something else.
        """
        full = with_defaults(wanted, who.default_project)
        asked = Asked(who.user, _ALLOCATE, wanted.request_id, full)

        def store(tx: Transaction) -> AllocationRow:
            if (earlier := asked.earlier(tx)) is not None:
                return _existing(tx, earlier)
            if not tx.access.has_project(full.project):
                raise absent("project", full.project)
            part = choose_part(tx, self._cluster, full, who, self._clock.now())
            row = tx.allocations.add(self._columns(who, full, part))
            _hold(tx, part, row)
            asked.remember(tx, row.allocation_id, row.created_at)
            _record(tx, row, who.user)
            tx.after_commit(self._capacity_changed)
            return row

        return await self._database.write(store)

    async def get(self, who: Caller, allocation_id: str) -> AllocationRow:
        """An allocation; NotFound also when it is foreign."""

        def load(tx: Transaction) -> AllocationRow:
            row = tx.allocations.get(allocation_id)
            if row is None:
                raise absent("allocation", allocation_id)
            _require(who, "allocations.get", row)
            return row

        return await self._database.read(load)

    async def list(
        self, who: Caller, wanted: AllocationFilter, *, size: int, token: str
    ) -> tuple[Sequence[AllocationRow], str]:
        """A page of allocations, newest first, and the token of the next one.

        NotFound when there is no such project.
        """
        require(who, "allocations.list", wanted.project)
        size = page_size(size)
        query = f"allocations {wanted}"
        before = self._page_tokens.read(query, token) if token else ""

        def load(tx: Transaction) -> Sequence[AllocationRow]:
            rows = tx.allocations.page(wanted, before=before, size=size + 1)
            if not rows and not tx.access.has_project(wanted.project):
                raise absent("project", wanted.project)
            return rows

        found = await self._database.read(load)
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(query, found[size - 1].allocation_id)

    async def renew(self, who: Caller, allocation_id: str, ttl: int | None) -> AllocationRow:
        """Give an allocation its time anew; `ttl` in microseconds, None: as long as before.

        Raises:
            NotFound: there is none, or it is foreign.
            Denied: somebody else holds it.
            WrongState: it is held no longer.
            Conflict: its node is being emptied, or others have reserved what it holds.
        """

        def store(tx: Transaction) -> AllocationRow:
            row = _locked(tx, who, allocation_id, force=False)
            now = self._clock.now()
            # Late is late, also when nobody has looked yet: another may count on it.
            status = after(
                row.status if row.expires_at > now else Status.EXPIRED, Event.RENEW, allocation_id
            )
            node = tx.nodes.get(row.node_id)
            if node is None or node.drain_mode:
                message = f"node {row.node_id} is being emptied"
                raise Conflict(message, reason="NODE_DRAINING", node_id=row.node_id)
            new = row.ttl if ttl is None else ttl
            (seen,) = self._cluster.look(tx, [node])
            kept = moments(tx, [seen], now, without=row.allocation_id)
            require_not_reserved(row, seen, kept, now, new)
            values = {"status": int(status), "ttl": new, "expires_at": now + new}
            tx.allocations.change(allocation_id, **values)
            return changed(row, **values)

        return await self._database.write(store)

    async def release(self, who: Caller, allocation_id: str, *, force: bool) -> AllocationRow:
        """Give an allocation back; one that has ended stays as it is.

        Args:
            who: the caller.
            allocation_id: the allocation.
            force: also one that somebody else holds.

        Raises:
            NotFound: there is none, or it is foreign.
            Denied: somebody else holds it, and the caller does not say `force` or may not.
        """

        def store(tx: Transaction) -> AllocationRow:
            row = _locked(tx, who, allocation_id, force=force)
            return self._end(tx, row, Event.RELEASE, who.user)

        return await self._database.write(store)

    async def expire(self) -> None:
        """Take back what was not renewed in time."""
        now = self._clock.now()
        for one in await self._database.read(lambda tx: tx.allocations.overdue(now)):
            await self._database.write(self._expiring(one.allocation_id, now))

    async def revoke(self, allocation_id: str) -> None:
        """Take an allocation back to empty its node."""

        def store(tx: Transaction) -> None:
            row = tx.allocations.lock(allocation_id)
            if row is not None and row.status == Status.ACTIVE:
                self._end(tx, row, Event.REVOKE, actors.DRAINS)

        await self._database.write(store)

    def revoke_in(self, tx: Transaction, allocation_id: str, why: tuple[str, str]) -> None:
        """Take an allocation back within a transaction; `why`: its reason, and the same in words."""
        row = tx.allocations.lock(allocation_id)
        if row is not None and row.status == Status.ACTIVE:
            self._end(tx, row, Event.REVOKE, actors.NODES, why)

    def _expiring(self, allocation_id: str, now: int) -> Callable[[Transaction], None]:
        def store(tx: Transaction) -> None:
            # Looked at again under the lock: it may have been renewed meanwhile.
            row = tx.allocations.lock(allocation_id)
            if row is not None and row.status == Status.ACTIVE and row.expires_at <= now:
                self._end(tx, row, Event.EXPIRE, actors.LEASES)

        return store

    def _end(
        self,
        tx: Transaction,
        row: AllocationRow,
        event: Event,
        actor: str,
        why: tuple[str, str] | None = None,
    ) -> AllocationRow:
        status = after(row.status, event, row.allocation_id)
        if status == row.status:
            return row
        reason, sentence = why or _ENDED[event]
        values: dict[str, Any] = {
            "status": int(status),
            "status_reason": reason,
            "status_message": f"{sentence} ({actor})" if event is Event.RELEASE else sentence,
            "ended_at": self._clock.now(),
        }
        tx.allocations.change(row.allocation_id, **values)
        tx.nodes.release(row.node_id, row.allocation_id)
        quota_use.give_back(tx, quota_use.held_by(row.project, row.user, row))
        ended = changed(row, **values)
        _record(tx, ended, actor)
        tx.after_commit(self._capacity_changed)
        return ended

    def _columns(
        self, who: Caller, full: resources_service_pb2.AllocateRequest, part: Part
    ) -> dict[str, Any]:
        now, ttl = self._clock.now(), full.ttl.ToMicroseconds()
        return {
            "allocation_id": self._ids.new("alloc"),
            "project": full.project,
            "user": who.user,
            "status": int(Status.ACTIVE),
            "status_reason": "ALLOCATED",
            "status_message": f"holds a part of node {part.node_id}",
            "node_id": part.node_id,
            "pool_id": part.pool,
            "cpu_millis": part.cpu_millis,
            "memory_bytes": part.memory_bytes,
            "gpu_type": full.resources.gpu_type,
            "mig_profile": full.resources.mig_profile,
            "gpu_memory_bytes": full.resources.gpu_memory_bytes,
            "gpu_millis": full.resources.gpu_millis,
            "gpu_uuids": ",".join(part.gpu_uuids),
            "gpu_types": ",".join(part.gpu_types),
            "topology_level": part.level,
            "exclusive": full.constraints.exclusive_node,
            "ttl": ttl,
            "created_at": now,
            "expires_at": now + ttl,
            "ended_at": None,
        }


def with_defaults(
    wanted: resources_service_pb2.AllocateRequest, default_project: str
) -> resources_service_pb2.AllocateRequest:
    """A copy with what the caller left out, and without its request id."""
    full = resources_service_pb2.AllocateRequest()
    full.CopyFrom(wanted)
    full.ClearField("request_id")
    full.DiscardUnknownFields()
    full.project = full.project or default_project
    full.resources.cpu_millis = full.resources.cpu_millis or DEFAULT_CPU_MILLIS
    full.resources.memory_bytes = full.resources.memory_bytes or DEFAULT_MEMORY_BYTES
    full.resources.gpu_count = gpu_count_of(full.resources)
    if not full.HasField("ttl"):
        full.ttl.seconds = DEFAULT_TTL_SECONDS
    return full


def _hold(tx: Transaction, part: Part, row: AllocationRow) -> None:
    try:
        tx.nodes.hold(
            part.node_id,
            row.allocation_id,
            cpu_millis=part.cpu_millis,
            memory_bytes=part.memory_bytes,
            gpu_uuids=part.gpu_uuids,
            share=share_on(tx, part.pool, row.gpu_millis),
            by_allocation=True,
        )
        require_there(tx.nodes.get(part.node_id), part.gpu_uuids)
        quota_use.take(tx, quota_use.held_by(row.project, row.user, row))
    except Conflict as conflict:
        # Somebody took it since it was chosen: there may be another.
        raise LostRace(conflict.message, reason=conflict.reason, **conflict.metadata) from None


def _existing(tx: Transaction, allocation_id: str) -> AllocationRow:
    row = tx.allocations.get(allocation_id)
    assert row is not None
    return row


def _require(who: Caller, permission: str, row: AllocationRow) -> None:
    require_object(who, permission, row.project, kind="allocation", object_id=row.allocation_id)


def _locked(tx: Transaction, who: Caller, allocation_id: str, *, force: bool) -> AllocationRow:
    """An allocation that the caller holds, or as an administrator of its project by force."""
    row = tx.allocations.lock(allocation_id)
    if row is None:
        raise absent("allocation", allocation_id)
    _require(who, _ALLOCATE, row)
    if who.user == row.user or (force and role_in(who, row.project) is Role.ADMIN):
        return row
    message = (
        f"{row.user} holds allocation {allocation_id}; an administrator may release it by force"
    )
    raise Denied(message, reason="NOT_THE_HOLDER", allocation_id=allocation_id)


def _record(tx: Transaction, row: AllocationRow, actor: str) -> None:
    tx.events.record(
        project=row.project,
        object_id=row.allocation_id,
        at=row.created_at if row.ended_at is None else row.ended_at,
        actor=actor,
        status=row.status,
        reason=row.status_reason,
        message=row.status_message,
        run_id="",
    )
