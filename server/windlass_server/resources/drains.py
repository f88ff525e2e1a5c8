"""Drains of many nodes, a few at a time: authorise, load, decide, store."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from windlass.resources.v1 import resources_service_pb2
from windlass_server import actors
from windlass_server.access.policy import ORGANISATION, Caller, absent, require
from windlass_server.clock import Clock
from windlass_server.errors import InvalidInput, WrongState
from windlass_server.idempotency import Asked
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens, page_size
from windlass_server.resources.drain_waves import (
    Afterwards,
    State,
    Status,
    is_active,
    is_closed,
    seen,
)
from windlass_server.resources.maintenance import DrainMode, Event
from windlass_server.resources.maintenance import State as Maintenance
from windlass_server.resources.service import NodeFilter, label_of, selected
from windlass_server.resources.upkeep import Drain, NodeUpkeep
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import row
from windlass_server.storage.tables import DrainRow
from windlass_server.storage.transaction import Transaction
from windlass_server.timestamps import duration_from_proto

_DRAIN = "nodes.drain"
MAX_NODES = 10_000
# Nodes that are begun in one transaction, so that others get at the database between.
_BEGUN_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class DrainView:
    """A drain as callers see it.

    Attributes:
        waiting, draining, done: how many of its nodes are so far.
        nodes: its nodes with `name` and `maintenance`; None: not asked for.
        left: what still holds a part of a node, by the node.
    """

    row: DrainRow
    waiting: int
    draining: int
    done: int
    nodes: Sequence[Any] | None = None
    left: dict[str, int] = field(default_factory=dict)


class DrainsService:
    """Keeps drains of many nodes and moves them on.

    Args:
        upkeep: closes, empties and opens each node.
        page_tokens: makes list tokens.
    """

    def __init__(
        self,
        database: Database,
        upkeep: NodeUpkeep,
        clock: Clock,
        ids: IdSource,
        page_tokens: PageTokens,
    ) -> None:
        self._database = database
        self._upkeep = upkeep
        self._clock = clock
        self._ids = ids
        self._page_tokens = page_tokens

    async def create(
        self, who: Caller, wanted: resources_service_pb2.DrainNodesRequest
    ) -> DrainView:
        """Begin a drain; its first nodes have their turn at once.

        Raises:
            InvalidInput: neither nodes nor a selector, both, or one that takes no node.
            NotFound: there is no such node.
            WrongState: another drain is not done with one of the nodes.
            Conflict: `request_id` was used for something else.
        """
        require(who, "nodes.drain", ORGANISATION)
        if bool(wanted.node_ids) == wanted.HasField("selector"):
            text = "either node_ids or a selector says which nodes are meant"
            raise InvalidInput(text, reason="NODES_NOT_NAMED")
        asked = Asked(who.user, _DRAIN, wanted.request_id, wanted)
        drain_id = self._ids.new("drain")

        def store(tx: Transaction) -> str:
            if (earlier := asked.earlier(tx)) is not None:
                return earlier
            node_ids = _named(tx, wanted)
            _require_free(tx, node_ids)
            columns = self._columns(drain_id, who, wanted)
            tx.drains.add(columns, [_member(drain_id, *one) for one in enumerate(node_ids)])
            self._advance(tx, row(DrainRow, columns))
            asked.remember(tx, drain_id, columns["created_at"])
            return drain_id

        made = await self._database.write(store)
        return await self._view(made)

    async def get(self, who: Caller, drain_id: str) -> DrainView:
        """A drain with its nodes; NotFound when there is none of that id."""
        require(who, "nodes.get", ORGANISATION)
        return await self._view(drain_id)

    async def list(
        self, who: Caller, *, status: int, size: int, token: str
    ) -> tuple[Sequence[DrainView], str]:
        """A page of drains without their nodes, newest first, and the token of the next one."""
        require(who, "nodes.list", ORGANISATION)
        size = page_size(size)
        query = f"drains {status}"
        before = self._page_tokens.read(query, token) if token else ""

        def load(tx: Transaction) -> tuple[list[DrainView], bool]:
            found = tx.drains.page(before=before, size=size + 1, status=status)
            return _views(tx, found[:size]), len(found) > size

        found, more = await self._database.read(load)
        return found, self._page_tokens.make(query, found[-1].row.drain_id) if more else ""

    async def cancel(self, who: Caller, drain_id: str) -> DrainView:
        """End a drain, opening what is not empty yet; one that was cancelled stays as it is.

        Raises:
            NotFound: there is none of that id.
            WrongState: it is done with all of its nodes.
        """
        require(who, "nodes.drain", ORGANISATION)

        def store(tx: Transaction) -> None:
            drain = _found(tx.drains.lock(drain_id), drain_id)
            if drain.status == Status.COMPLETED:
                text = f"drain {drain_id} is done with all of its nodes"
                raise WrongState(
                    text, reason="DRAIN_COMPLETED", subject=drain_id, drain_id=drain_id
                )
            if drain.status == Status.RUNNING:
                self._cancel(tx, drain, who.user)

        await self._database.write(store)
        return await self._view(drain_id)

    async def advance_all(self) -> None:
        """Move every running drain on as far as it goes."""
        for drain_id in await self._database.read(lambda tx: tx.drains.running()):
            while await self._database.write(partial(self._go_on, drain_id)):
                pass

    def _go_on(self, drain_id: str, tx: Transaction) -> bool:
        # Looked at again under the lock: it may have been cancelled, or moved on by another server.
        drain = tx.drains.lock(drain_id)
        return drain is not None and drain.status == Status.RUNNING and self._advance(tx, drain)

    def _advance(self, tx: Transaction, drain: DrainRow) -> bool:
        """Note what has become of the nodes of a locked drain and begin what has its turn.

        Returns whether it can go on at once.
        """
        afterwards = Afterwards(drain.afterwards)
        states = [self._looked_at(tx, drain, one) for one in tx.drains.members(drain.drain_id)]
        room = drain.max_unavailable - sum(is_closed(state, afterwards) for _, state in states)
        begun = 0
        for number, (member, state) in enumerate(states):
            if room <= 0 or begun == _BEGUN_AT_ONCE:
                break
            if state is State.WAITING:
                state = self._begin(tx, drain, member)  # noqa: PLW2901 - what it is from now on
                states[number] = (member, state)
                begun += 1
                room -= is_closed(state, afterwards)
        if not any(is_active(state, afterwards) for _, state in states):
            now = self._clock.now()
            tx.drains.change(drain.drain_id, status=int(Status.COMPLETED), ended_at=now)
        return begun == _BEGUN_AT_ONCE and room > 0

    def _looked_at(self, tx: Transaction, drain: DrainRow, member: Any) -> tuple[Any, State]:
        """A node of a drain, and how far it is now, which is stored when it is news."""
        before = State(member.state)
        if not member.active:
            return member, before
        maintenance = None if member.removed_at is not None else member.maintenance
        state = self._afterwards(tx, drain, member, seen(before, maintenance))
        if state is not before:
            self._store(tx, drain, member, state)
        return member, state

    def _begin(self, tx: Transaction, drain: DrainRow, member: Any) -> State:
        """Drain a node whose turn it is; how far it is then."""
        reason = drain.reason or f"drain {drain.drain_id}"
        asked = Drain(DrainMode(drain.mode), drain.deadline, reason)
        node = self._upkeep.order(tx, member.node_id, Event.DRAIN, drain.user, reason, asked)
        state = seen(State.DRAINING, None if node is None else node.maintenance)
        state = self._afterwards(tx, drain, member, state)
        self._store(tx, drain, member, state, started_at=self._clock.now())
        return state

    def _afterwards(self, tx: Transaction, drain: DrainRow, member: Any, state: State) -> State:
        """Open a node that is empty, where that is asked for; how far it is then."""
        if state is not State.DRAINED or drain.afterwards != Afterwards.UNCORDON:
            return state
        self._upkeep.order(tx, member.node_id, Event.UNCORDON, actors.DRAINS, "")
        return State.OPENED

    def _store(
        self, tx: Transaction, drain: DrainRow, member: Any, state: State, **values: Any
    ) -> None:
        active = is_active(state, Afterwards(drain.afterwards))
        values |= {"state": int(state), "active": active}
        if not active:
            values["ended_at"] = self._clock.now()
        tx.drains.change_member(drain.drain_id, member.position, **values)

    def _cancel(self, tx: Transaction, drain: DrainRow, actor: str) -> None:
        now = self._clock.now()
        for member in tx.drains.members(drain.drain_id):
            if not member.active:
                continue
            state = State(member.state)
            if state is State.DRAINING and member.maintenance == Maintenance.DRAINING:
                self._upkeep.order(tx, member.node_id, Event.UNCORDON, actor, "")
            end = State.DRAINED if state is State.DRAINED else State.SKIPPED
            values = {"state": int(end), "active": False, "ended_at": now}
            tx.drains.change_member(drain.drain_id, member.position, **values)
        tx.drains.change(drain.drain_id, status=int(Status.CANCELLED), ended_at=now)

    async def _view(self, drain_id: str) -> DrainView:
        def load(tx: Transaction) -> DrainView:
            (view,) = _views(tx, [_found(tx.drains.get(drain_id), drain_id)])
            nodes = tx.drains.members(drain_id)
            busy = [one.node_id for one in nodes if one.state == State.DRAINING]
            left = self._upkeep.left(tx, busy)
            return DrainView(view.row, view.waiting, view.draining, view.done, nodes, left)

        return await self._database.read(load)

    def _columns(
        self, drain_id: str, who: Caller, wanted: resources_service_pb2.DrainNodesRequest
    ) -> dict[str, Any]:
        deadline = duration_from_proto(wanted.deadline) if wanted.HasField("deadline") else None
        return {
            "drain_id": drain_id,
            "status": int(Status.RUNNING),
            "mode": int(wanted.mode or DrainMode.WAIT),
            "afterwards": int(wanted.afterwards or Afterwards.STAY_DRAINED),
            "deadline": deadline,
            "reason": wanted.reason,
            "max_unavailable": wanted.max_unavailable or 1,
            "user": who.user,
            "created_at": self._clock.now(),
            "ended_at": None,
        }


def _named(tx: Transaction, wanted: resources_service_pb2.DrainNodesRequest) -> list[str]:
    """The nodes that a request means, in the order of their turns."""
    if wanted.node_ids:
        for node_id in wanted.node_ids:
            if tx.nodes.get(node_id) is None:
                raise absent("node", node_id)
        return list(wanted.node_ids)
    asked = wanted.selector
    like = NodeFilter(
        gpu_type=asked.gpu_type.lower(),
        cluster=asked.cluster,
        zone=asked.zone,
        pool=asked.pool,
        labels=tuple(label_of(text) for text in asked.labels),
    )
    found = [node.node_id for node in selected(tx, like, MAX_NODES + 1)]
    if not 0 < len(found) <= MAX_NODES:
        text = f"the selector takes {len(found)} nodes" if found else "the selector takes no node"
        raise InvalidInput(text, reason="TOO_MANY_NODES" if found else "NO_NODE_SELECTED")
    return found


def _require_free(tx: Transaction, node_ids: Sequence[str]) -> None:
    busy = tx.drains.busy(node_ids)
    if busy:
        node_id, drain_id = min(busy.items())
        text = f"drain {drain_id} is not done with node {node_id}"
        if len(busy) > 1:
            text += f", and {len(busy) - 1} more of the nodes are not free"
        raise WrongState(
            text, reason="NODE_IN_DRAIN", subject=node_id, node_id=node_id, drain_id=drain_id
        )


def _member(drain_id: str, position: int, node_id: str) -> dict[str, Any]:
    return {
        "drain_id": drain_id,
        "position": position,
        "node_id": node_id,
        "state": int(State.WAITING),
        "active": True,
        "started_at": None,
        "ended_at": None,
    }


def _found(drain: DrainRow | None, drain_id: str) -> DrainRow:
    if drain is None:
        raise absent("drain", drain_id)
    return drain


def _views(tx: Transaction, drains: Sequence[DrainRow]) -> list[DrainView]:
    """Drains with how many of their nodes are how far."""
    tallies: dict[str, Counter[str]] = {drain.drain_id: Counter() for drain in drains}
    for drain_id, state, active, count in tx.drains.counts(list(tallies)):
        kind = "done" if not active else "waiting" if state == State.WAITING else "draining"
        tallies[drain_id][kind] += count
    return [
        DrainView(drain, tally["waiting"], tally["draining"], tally["done"])
        for drain, tally in zip(drains, tallies.values(), strict=True)
    ]
