"""Cards that can be divided, as the API shows them."""

from collections.abc import Sequence
from typing import cast

from windlass.agents.v1 import agent_pb2, mig_pb2
from windlass.resources.v1 import node_pb2
from windlass_server.resources.cards import card_of, going, instances_by_card, with_layouts
from windlass_server.resources.layout_states import State
from windlass_server.scheduler.slices import most_of_each
from windlass_server.scheduler.snapshot import Card, Instance
from windlass_server.storage.tables import GpuLayoutRow
from windlass_server.timestamps import set_time


def add_cards(message: node_pb2.Node, has: agent_pb2.Inventory, *, listed: bool = False) -> None:
    """Add to a node what its inventory says of such cards.

    Args:
        message: the node.
        has: its inventory.
        listed: the short form, of which lists show many: without profiles, and without the cards that
            stay whole.
    """
    instances = instances_by_card(has)
    for told in has.mig_cards:
        if listed and not (told.divided or told.may_be_divided):
            continue
        card = card_of(told, instances.get(told.uuid, ()))
        message.cards.add(
            uuid=card.uuid,
            gpu_type=card.gpu_type,
            divided=card.divided,
            may_be_divided=told.may_be_divided,
            profiles=() if listed else _profiles(told, card),
            instances=[_instance(one) for one in card.instances],
        )


def fill_layouts(
    message: node_pb2.Node, cards: Sequence[Card], layouts: Sequence[GpuLayoutRow]
) -> frozenset[str]:
    """Fill in what the cards of a node were last told to be; the UUIDs of devices that will be gone."""
    if not layouts:
        return frozenset()
    told = {row.card_uuid: row for row in layouts}
    shown = {card.uuid: card for card in message.cards}
    gone: set[str] = set()
    for card in with_layouts(cards, layouts):
        row, one = told.get(card.uuid), shown.get(card.uuid)
        gone |= going(card)
        if row is None or one is None:
            continue
        one.layout_state = cast("node_pb2.GpuCard.LayoutState", row.state)
        one.layout_message = row.message
        if row.state == State.CHANGING:
            one.layout.extend(_instance(each) for each in card.coming or ())
        set_time(one.layout_time, row.changed_at)
    return frozenset(gone)


def _profiles(told: mig_pb2.MigCard, card: Card) -> list[node_pb2.GpuCard.Profile]:
    most = most_of_each(card.profiles)
    return [
        node_pb2.GpuCard.Profile(
            name=one.name,
            compute_slices=one.compute_slices,
            memory_slices=one.memory_slices,
            memory_bytes=one.memory_bytes,
            max_instances=most[one.name],
        )
        for one in told.profiles
    ]


def _instance(one: Instance) -> node_pb2.GpuCard.Instance:
    return node_pb2.GpuCard.Instance(profile=one.profile, memory_start=one.start, uuid=one.uuid)
