"""Has cards divided: what the scheduler decides is wanted, the nodes are told, and say what became of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from windlass.agents.v1 import agent_pb2, mig_pb2
from windlass_server import actors
from windlass_server.access.policy import ORGANISATION
from windlass_server.clock import Clock
from windlass_server.errors import Conflict, WrongState
from windlass_server.resources.capacity import facts_of
from windlass_server.resources.cards import going, instances_text, layout_directive
from windlass_server.resources.inventories import parsed
from windlass_server.resources.layout_states import Event, State, after
from windlass_server.resources.maintenance import State as Maintenance
from windlass_server.resources.maintenance import shown
from windlass_server.resources.states import Status
from windlass_server.scheduler.partition import Change
from windlass_server.scheduler.snapshot import Card
from windlass_server.storage.duties import SCHEDULER
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import GpuLayoutRow, NodeRow
from windlass_server.storage.transaction import Transaction

_NO_MORE = "the node does not let the server divide this card any more"


class LayoutsService:
    """Keeps how cards shall be divided.

    Args:
        layouts_changed: called with a node's id when it has to divide a card.
    """

    def __init__(
        self, database: Database, clock: Clock, layouts_changed: Callable[[str], None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._layouts_changed = layouts_changed

    async def begin(self, change: Change, epoch: int) -> bool:
        """Want a card to be divided otherwise; False when the world has changed since it was planned.

        Nobody gets what will be gone from now on, until the node has said what became of it.

        Args:
            change: how.
            epoch: of the scheduler that planned it; refused when there is a newer one.
        """

        def store(tx: Transaction) -> bool:
            tx.duties.require(SCHEDULER, epoch)
            node = tx.nodes.lock(change.node_id)
            if node is None or (card := _as_planned(node, change)) is None:
                return False
            self._begin(tx, node, card, change)
            return True

        try:
            return await self._database.write(store)
        except (Conflict, WrongState):
            # Another server has given away what would go, or is having the card divided.
            return False

    async def directives(self, node_id: str) -> Sequence[mig_pb2.LayoutDirective]:
        """The layouts that a node has still to carry out."""
        rows = await self._database.read(lambda tx: tx.layouts.pending(node_id))
        return [layout_directive(row) for row in rows]

    def settle(self, tx: Transaction, node: NodeRow, has: agent_pb2.Inventory, now: int) -> None:
        """Take in what a locked node says that has become of the layouts it was told (at `now`, µs)."""
        told = {card.uuid: card for card in has.mig_cards}
        for row in tx.layouts.pending(node.node_id):
            card = told.get(row.card_uuid)
            if card is None or not card.may_be_divided:
                self._end(tx, node, row, _NO_MORE, now)
            elif card.generation >= row.generation:
                self._end(tx, node, row, card.problem, now)

    def _begin(self, tx: Transaction, node: NodeRow, card: Card, change: Change) -> None:
        row = tx.layouts.get(node.node_id, card.uuid)
        after(row.state if row is not None else None, Event.BEGIN)
        now, text = self._clock.now(), instances_text(change.instances)
        known = row.generation if row is not None else 0
        wanted = replace(card, coming=change.instances)
        tx.layouts.begin(
            node.node_id,
            card.uuid,
            # A node that another server told before has seen other generations.
            generation=max(known, _generations(node).get(card.uuid, 0)) + 1,
            instances=text,
            going=sorted(going(wanted)),
            at=now,
        )
        how = f"divided into {text.replace(',', ', ')}" if text else "made whole"
        _record(tx, node, "GPU_LAYOUT_CHANGING", f"card {card.uuid} is being {how}", now)
        tx.after_commit(lambda: self._layouts_changed(node.node_id))

    def _end(self, tx: Transaction, node: NodeRow, row: GpuLayoutRow, why: str, now: int) -> None:
        state = after(row.state, Event.FAIL if why else Event.DONE)
        tx.layouts.end(node.node_id, row.card_uuid, state=int(state), message=why, at=now)
        if state is State.FAILED:
            message = f"card {row.card_uuid} could not be divided: {why}"
        else:
            message = f"card {row.card_uuid} is {'divided' if row.instances else 'whole'} now"
        _record(tx, node, f"GPU_LAYOUT_{state.name}", message, now)


def _as_planned(node: NodeRow, change: Change) -> Card | None:
    """The card of a change, if it and its node are still such as the plan saw them."""
    if node.status != Status.READY or node.maintenance != Maintenance.OPEN:
        return None
    card = next((one for one in facts_of(node).cards if one.uuid == change.card_uuid), None)
    if card is None or {one.uuid for one in card.instances} != change.seen:
        return None
    return card


def _generations(node: NodeRow) -> Mapping[str, int]:
    return {card.uuid: card.generation for card in parsed(node.inventory).mig_cards}


def _record(tx: Transaction, node: NodeRow, reason: str, message: str, at: int) -> None:
    tx.events.record(
        project=ORGANISATION,
        object_id=node.node_id,
        at=at,
        actor=actors.SCHEDULER,
        status=int(shown(node.status, node.maintenance)),
        reason=reason,
        message=message,
        run_id="",
    )
