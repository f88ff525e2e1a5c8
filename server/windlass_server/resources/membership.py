"""Nodes come and go: joining, saying hello, being lost. Their runs are not touched by any of it."""

from collections.abc import Callable, Mapping, Sequence

from windlass.agents.v1 import agent_pb2, mig_pb2
from windlass_server import actors
from windlass_server.access.policy import ORGANISATION, absent
from windlass_server.access.service import AccessService
from windlass_server.clock import Clock
from windlass_server.errors import Conflict, Unauthenticated
from windlass_server.ids import IdSource
from windlass_server.resources.capacity import facts
from windlass_server.resources.health import NodeHealthService
from windlass_server.resources.layouts import LayoutsService
from windlass_server.resources.maintenance import State
from windlass_server.resources.pooling import assign, rules_of
from windlass_server.resources.states import Event, Status, after
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import NodeRow
from windlass_server.storage.transaction import Transaction
from windlass_server.telemetry.latest import LatestTelemetry

_CONNECTED = ("AGENT_CONNECTED", "its agent is connected")
_JOINED = ("AGENT_NEVER_CONNECTED", "it has joined; its agent has not connected yet")
_DISCONNECTED = ("AGENT_DISCONNECTED", "its agent is not connected; its runs are held, not failed")
_RESTARTED = ("SERVER_RESTARTED", "the server was restarted; its agent has not connected yet")
_SILENT = ("AGENT_SILENT", "no server hears its agent any more; its runs are held, not failed")


class Membership:
    """Keeps which nodes there are, what they have, and whether they are connected.

    Args:
        access: uses join tokens up.
        latest: forgets the GPUs that a node does not have any more.
        health: judges what a node has by what it had before.
        layouts: is told what became of the cards that a node was to divide.
        capacity_changed: called when a node joined, came, went, or has something else to give.
    """

    def __init__(
        self,
        database: Database,
        access: AccessService,
        latest: LatestTelemetry,
        clock: Clock,
        ids: IdSource,
        capacity_changed: Callable[[], None],
        health: NodeHealthService,
        layouts: LayoutsService,
    ) -> None:
        self._database = database
        self._access = access
        self._latest = latest
        self._clock = clock
        self._ids = ids
        self._capacity_changed = capacity_changed
        self._health = health
        self._layouts = layouts

    async def join(self, token: str, public_key: bytes, inventory: agent_pb2.Inventory) -> str:
        """Trade a join token for a node's id, at once for good.

        The same key gets the same node, so that an agent whose answer was lost can ask again: with
        the token that it used, or with a fresh one, which is used up then.

        Args:
            token: the join token.
            public_key: the node's raw Ed25519 key.
            inventory: what the node has, valid by the rules in the protos.

        Raises:
            Unauthenticated: the token is not known, has expired, or others have used it up; or the key
                is that of a node that was removed.
        """

        def store(tx: Transaction) -> str:
            known = tx.nodes.by_public_key(public_key)
            if known is not None and known.removed_at is not None:
                raise _removed(known)
            if known is not None and self._access.used_join_token(tx, token, known.node_id):
                return known.node_id
            node_id = known.node_id if known is not None else self._ids.new("node")
            now = self._clock.now()
            try:
                cluster = self._access.consume_join_token(tx, token, node_id, now)
            except Unauthenticated:
                # The same node may have asked twice at once, and the other one was first.
                known = tx.nodes.by_public_key(public_key)
                if known is None or not self._access.used_join_token(tx, token, known.node_id):
                    raise
                return known.node_id
            if known is None:
                self._add(tx, node_id, public_key, inventory, cluster, now)
            elif known.cluster != cluster:
                tx.nodes.change(node_id, cluster=cluster)
            return node_id

        return await self._database.write(store)

    async def hello(self, node_id: str, inventory: agent_pb2.Inventory) -> int:
        """Store what a node has, and that it is connected; returns when (µs).

        Raises:
            NotFound: there is no such node.
        """
        now = self._clock.now()

        def store(tx: Transaction) -> int:
            node = tx.nodes.get(node_id)
            if node is None:
                raise absent("node", node_id)
            seen_at = _heard_at(node, now)
            reason, message = _CONNECTED
            to = assign(facts(inventory), node.cluster, rules_of(tx.pools.all_held()))
            there = tx.nodes.hello(
                node_id,
                name=inventory.hostname,
                inventory=inventory.SerializeToString(),
                pool=to.pool,
                cpu_millis=to.cpu_millis,
                memory_bytes=to.memory_bytes,
                reason=reason,
                message=message,
                at=now,
                seen_at=seen_at,
            )
            if not there:
                raise absent("node", node_id)
            self._layouts.settle(tx, node, inventory, now)
            self._health.greet(tx, node, inventory, now)
            status = after(node.status, Event.HELLO)
            if status != node.status:
                _record(tx, node_id, status, _CONNECTED, actors.node(node_id), now)
            tx.after_commit(self._capacity_changed)
            return seen_at

        seen_at = await self._database.write(store)
        self._latest.keep_gpus(node_id, [gpu.uuid for gpu in inventory.gpus])
        return seen_at

    async def restock(self, node_id: str, inventory: agent_pb2.Inventory) -> None:
        """Store what a connected node has now, which is another than it said before.

        Raises:
            Conflict: the node was given up; it must say hello again.
        """
        now = self._clock.now()

        def store(tx: Transaction) -> None:
            node = _connected(tx.nodes.lock(node_id), node_id)
            to = assign(facts(inventory), node.cluster, rules_of(tx.pools.all_held()))
            tx.nodes.change(node_id, inventory=inventory.SerializeToString())
            tx.nodes.assign([(node_id, to.pool, to.cpu_millis, to.memory_bytes)])
            self._layouts.settle(tx, node, inventory, now)
            self._health.restocked(tx, node, inventory)
            tx.after_commit(self._capacity_changed)

        await self._database.write(store)
        self._latest.keep_gpus(node_id, [gpu.uuid for gpu in inventory.gpus])

    async def layouts(self, node_id: str) -> Sequence[mig_pb2.LayoutDirective]:
        """How cards of a node shall be divided that are not yet."""
        return await self._layouts.directives(node_id)

    async def touch(self, node_id: str) -> int:
        """Store that a node was heard; returns when (µs).

        Raises:
            Conflict: the node was given up; it must say hello again.
        """
        now = self._clock.now()

        def store(tx: Transaction) -> int:
            node = _connected(tx.nodes.get(node_id), node_id)
            seen_at = _heard_at(node, now)
            tx.nodes.touch(node_id, seen_at)
            return seen_at

        return await self._database.write(store)

    async def lost(self, node_id: str, *, seen_at: int) -> None:
        """Store that a node is not connected, unless it was heard after `seen_at` (µs).

        What runs on it is held, not failed: it may well go on.
        """
        await self._database.write(
            lambda tx: self._lose(tx, node_id, seen_at, _DISCONNECTED, actors.NODES)
        )

    async def server_started(self) -> None:
        """Store that no node is connected, until they say hello: for the only server there is."""

        def store(tx: Transaction) -> None:
            for node in tx.nodes.all():
                self._lose(tx, node.node_id, node.last_seen_at, _RESTARTED, actors.SERVER)

        await self._database.write(store)

    async def heard(self) -> dict[str, int]:
        """When each connected node was last heard, by whichever server; see `give_up`."""

        def read(tx: Transaction) -> dict[str, int]:
            nodes = tx.nodes.all()
            return {one.node_id: one.last_seen_at for one in nodes if one.status == Status.READY}

        return await self._database.read(read)

    async def give_up(self, heard: Mapping[str, int]) -> None:
        """Store that nodes are not connected, unless they were heard since.

        Args:
            heard: the nodes, with when each was last heard as `heard` has told it.
        """

        def store(tx: Transaction) -> None:
            for node_id, seen_at in heard.items():
                self._lose(tx, node_id, seen_at, _SILENT, actors.NODES)

        await self._database.write(store)

    def _lose(
        self, tx: Transaction, node_id: str, seen_at: int, why: tuple[str, str], actor: str
    ) -> None:
        reason, message = why
        if tx.nodes.mark_unreachable(node_id, seen_at=seen_at, reason=reason, message=message):
            status = after(Status.READY, Event.LOSE)
            _record(tx, node_id, status, why, actor, self._clock.now())
            tx.after_commit(self._capacity_changed)

    def _add(
        self,
        tx: Transaction,
        node_id: str,
        public_key: bytes,
        inventory: agent_pb2.Inventory,
        cluster: str,
        now: int,
    ) -> None:
        reason, message = _JOINED
        to = assign(facts(inventory), cluster, rules_of(tx.pools.all_held()))
        row = NodeRow(
            node_id=node_id,
            name=inventory.hostname,
            public_key=public_key,
            status=Status.UNREACHABLE,
            status_reason=reason,
            status_message=message,
            inventory=inventory.SerializeToString(),
            cpu_millis=to.cpu_millis,
            memory_bytes=to.memory_bytes,
            cpu_held=0,
            memory_held=0,
            shrunk=False,
            created_at=now,
            connected_at=None,
            last_seen_at=now,
            maintenance=int(State.OPEN),
            maintenance_reason="",
            maintenance_actor="",
            maintenance_at=now,
            drain_mode=0,
            drain_deadline=None,
            drain_runs=0,
            health=b"",
            ailing=False,
            cluster=cluster,
            pool=to.pool,
            removed_at=None,
        )
        tx.nodes.add(row.model_dump())
        _record(tx, node_id, Status.UNREACHABLE, ("JOINED", message), actors.node(node_id), now)
        tx.after_commit(self._capacity_changed)


def _connected(node: NodeRow | None, node_id: str) -> NodeRow:
    if node is None or node.status != Status.READY:
        text = f"node {node_id} was silent for too long and must connect again"
        raise Conflict(text, reason="NODE_GIVEN_UP")
    return node


def _heard_at(node: NodeRow, now: int) -> int:
    """What to store as the time at which a node was heard.

    Later than the last one, also when the server's clock was set back: it tells that the node lives,
    and which of two sessions is the older one.
    """
    return max(now, node.last_seen_at + 1)


def _removed(node: NodeRow) -> Unauthenticated:
    message = (
        f"this key is that of node {node.node_id}, which was removed; to come back, the machine joins "
        "as a new node: give its agent another data directory"
    )
    return Unauthenticated(message, reason="NODE_REMOVED", node_id=node.node_id)


def _record(
    tx: Transaction, node_id: str, status: Status, why: tuple[str, str], actor: str, at: int
) -> None:
    reason, message = why
    tx.events.record(
        project=ORGANISATION,
        object_id=node_id,
        at=at,
        actor=actor,
        status=int(status),
        reason=reason,
        message=message,
        run_id="",
    )
