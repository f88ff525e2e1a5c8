"""Closing, emptying and opening nodes: authorise, load, decide, store."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from windlass.agents.v1.agent_pb2 import Inventory
from windlass_server import actors
from windlass_server.access.policy import ORGANISATION, Caller, absent, require
from windlass_server.clock import Clock
from windlass_server.resources.health_record import overruled
from windlass_server.resources.maintenance import (
    DrainMode,
    Event,
    Eviction,
    State,
    after,
    eviction,
    is_late,
    shown,
)
from windlass_server.resources.node_conditions import Closing
from windlass_server.resources.service import NodeView, views
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed
from windlass_server.storage.tables import NodeRow
from windlass_server.storage.transaction import Transaction


class RevokeAllocation(Protocol):
    """Takes an allocation back; harmless when repeated."""

    def __call__(self, allocation_id: str) -> Awaitable[None]: ...


class EvictRun(Protocol):
    """Makes a run leave its node, so that its job is queued again; harmless when repeated."""

    def __call__(self, run_id: str, *, kill: bool, why: str) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Drain:
    """What an operator asks of a drain.

    Attributes:
        mode: what becomes of what runs on the node.
        deadline: from now on until what is left is stopped, in microseconds; None: never.
        reason: why, for people.
    """

    mode: DrainMode
    deadline: int | None
    reason: str


class NodeUpkeep:
    """Keeps which nodes take new work, and empties those that are being drained.

    Args:
        evict: makes a run leave.
        revoke: takes an allocation back.
        capacity_changed: called when a node was opened or closed.
        drain_began: called when there is something to look at for `empty_draining`.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        evict: EvictRun,
        revoke: RevokeAllocation,
        capacity_changed: Callable[[], None],
        drain_began: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._evict = evict
        self._revoke = revoke
        self._capacity_changed = capacity_changed
        self._drain_began = drain_began

    async def cordon(self, who: Caller, node_id: str, reason: str) -> NodeView:
        """Place nothing new on a node; also ends a drain. NotFound when there is no such node."""
        require(who, "nodes.cordon", ORGANISATION)
        return await self._order(who, node_id, Event.CORDON, reason)

    async def uncordon(self, who: Caller, node_id: str) -> NodeView:
        """Open a node to new work again. NotFound when there is no such node."""
        require(who, "nodes.cordon", ORGANISATION)
        return await self._order(who, node_id, Event.UNCORDON, "")

    async def drain(self, who: Caller, node_id: str, asked: Drain) -> NodeView:
        """Begin to empty a node, or change how it is done. NotFound when there is no such node."""
        require(who, "nodes.drain", ORGANISATION)
        return await self._order(who, node_id, Event.DRAIN, asked.reason, asked)

    async def empty_draining(self) -> bool:
        """Make runs leave whose time on a draining node is up, and note which nodes are empty.

        Returns whether a node is still on its way.
        """
        draining, holders = await self._database.read(_look)
        for node in draining:
            held = holders[node.node_id]
            if held.anything:
                await self._press(node, held)
            else:
                await self._database.write(self._noting_empty(node.node_id))
        return any(held.anything for held in holders.values())

    async def _press(self, node: NodeRow, held: "_Held") -> None:
        """Make leave what must leave a node by now."""
        now = self._clock.now()
        how = eviction(node.drain_mode, node.drain_deadline, now)
        if how is None:
            return
        why = f"node {node.name} is being drained" + _because(node.maintenance_reason)
        for run_id in held.run_ids:
            await self._evict(run_id, kill=how is Eviction.KILL, why=why)
        # A holder cannot be told to leave: it has its time, unless that is cut short for all.
        if how is Eviction.KILL or is_late(node.drain_deadline, now):
            for allocation_id in held.allocation_ids:
                await self._revoke(allocation_id)

    async def _order(
        self, who: Caller, node_id: str, event: Event, reason: str, asked: Drain | None = None
    ) -> NodeView:
        def store(tx: Transaction) -> NodeView:
            node = self.order(tx, node_id, event, who.user, reason, asked)
            if node is None:
                raise absent("node", node_id)
            return views(tx, who, [node])[0]

        return await self._database.write(store)

    def order(
        self,
        tx: Transaction,
        node_id: str,
        event: Event,
        actor: str,
        reason: str,
        asked: Drain | None = None,
    ) -> NodeRow | None:
        """Carry out an order in the caller's transaction; None when there is no such node."""
        node = tx.nodes.lock(node_id)
        if node is None:
            return None
        node = self._move(tx, node, event, actor, reason, asked)
        if event is Event.UNCORDON and node.health and not actors.is_system(actor):
            # An operator knows better: what is wrong now closes the node no more.
            health = overruled(node.health, Inventory.FromString(node.inventory), self._clock.now())
            tx.nodes.change(node_id, health=health)
            node = changed(node, health=health)
        if event is Event.DRAIN and not _held(tx, [node_id])[node_id].anything:
            node = self._move(tx, node, Event.EMPTY, actors.DRAINS, "nothing runs on it")
        return node

    def left(self, tx: Transaction, node_ids: Sequence[str]) -> dict[str, int]:
        """How many runs and allocations hold a part of each of these nodes."""
        held = _held(tx, node_ids) if node_ids else {}
        return {
            node_id: len(one.run_ids) + len(one.allocation_ids) for node_id, one in held.items()
        }

    def close_for_health(
        self, tx: Transaction, node: NodeRow, closing: Closing, why: str
    ) -> NodeRow:
        """Make a locked node take nothing new because of its health, or open it when that is over.

        What an operator has ordered is left alone.
        """
        ours = node.maintenance_actor == actors.HEALTH
        if node.maintenance != State.OPEN and not ours:
            return node
        if closing is Closing.OPEN:
            if ours:
                return self._move(tx, node, Event.UNCORDON, actors.HEALTH, "its health is restored")
            return node
        if closing is Closing.CORDON:
            return self._move(tx, node, Event.CORDON, actors.HEALTH, why)
        if node.maintenance in (State.DRAINING, State.DRAINED):
            return node
        asked = Drain(DrainMode.WAIT, None, why)
        node = self._move(tx, node, Event.DRAIN, actors.HEALTH, why, asked)
        if not _held(tx, [node.node_id])[node.node_id].anything:
            node = self._move(tx, node, Event.EMPTY, actors.HEALTH, "nothing runs on it")
        return node

    def _noting_empty(self, node_id: str) -> Callable[[Transaction], None]:
        def store(tx: Transaction) -> None:
            # Looked at again under the lock: it may have been opened meanwhile.
            node = tx.nodes.lock(node_id)
            if node is None or node.maintenance != State.DRAINING:
                return
            if not _held(tx, [node_id])[node_id].anything:
                self._move(tx, node, Event.EMPTY, actors.DRAINS, "nothing runs on it any more")

        return store

    def _move(
        self,
        tx: Transaction,
        node: NodeRow,
        event: Event,
        actor: str,
        reason: str,
        asked: Drain | None = None,
    ) -> NodeRow:
        """Move a locked node, with an event; an order that changes nothing leaves no trace."""
        now = self._clock.now()
        state = after(node.maintenance, event)
        values: dict[str, object] = {"maintenance": int(state)}
        if event is not Event.EMPTY:
            values |= {
                "maintenance_reason": reason,
                "maintenance_actor": actor if state is not State.OPEN else "",
                "drain_mode": int(asked.mode) if asked else 0,
                "drain_deadline": None
                if asked is None or asked.deadline is None
                else now + asked.deadline,
            }
        if asked is not None and node.maintenance != State.DRAINING:
            held = _held(tx, [node.node_id])[node.node_id]
            values["drain_runs"] = len(held.run_ids) + len(held.allocation_ids)
        if all(getattr(node, name) == value for name, value in values.items()):
            return node
        if state != node.maintenance:
            values["maintenance_at"] = now
        tx.nodes.change(node.node_id, **values)
        _record(tx, changed(node, **values), actor, reason, now)
        tx.after_commit(self._capacity_changed)
        if state is State.DRAINING:
            tx.after_commit(self._drain_began)
        return changed(node, **values)


@dataclass(frozen=True, slots=True)
class _Held:
    """What holds a part of a node."""

    run_ids: list[str]
    allocation_ids: list[str]

    @property
    def anything(self) -> bool:
        return bool(self.run_ids or self.allocation_ids)


def _look(tx: Transaction) -> tuple[Sequence[NodeRow], dict[str, _Held]]:
    """The draining nodes, and what holds a part of each."""
    draining = tx.nodes.draining()
    return draining, _held(tx, [node.node_id for node in draining]) if draining else {}


def _held(tx: Transaction, node_ids: Sequence[str]) -> dict[str, _Held]:
    held = {node_id: _Held([], []) for node_id in node_ids}
    for run in tx.runs.active_on(node_ids):
        held[run.node_id].run_ids.append(run.run_id)
    for one in tx.allocations.active_on(node_ids):
        held[one.node_id].allocation_ids.append(one.allocation_id)
    return held


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


_WORDS = {
    State.OPEN: ("OPENED", "takes new work again"),
    State.CORDONED: ("CORDONED", "takes no new work"),
    State.DRAINING: ("DRAINING", "takes no new work and is being emptied"),
    State.DRAINED: ("DRAINED", "is drained"),
}


def _record(tx: Transaction, node: NodeRow, actor: str, reason: str, at: int) -> None:
    word, sentence = _WORDS[State(node.maintenance)]
    tx.events.record(
        project=ORGANISATION,
        object_id=node.node_id,
        at=at,
        actor=actor,
        status=int(shown(node.status, node.maintenance)),
        reason=word,
        message=sentence + _because(reason),
        run_id="",
    )
