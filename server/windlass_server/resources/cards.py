"""Cards that may be divided: as their nodes tell of them, and as what they were told to be is stored."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from windlass.agents.v1 import agent_pb2, mig_pb2
from windlass_server.resources.layout_states import State
from windlass_server.scheduler.snapshot import Card, Instance, Profile
from windlass_server.storage.tables import GpuLayoutRow

REST = 5_000_000
"""How long a card that was divided is left alone (µs): whoever it was divided for comes first."""

RETRY = 300_000_000
"""How long a card that could not be divided is left alone (µs)."""

# What no type of GPU has in its name.
_NOT_IN_A_TYPE = re.compile(r"[^A-Za-z0-9._]")
_LONGEST_TYPE = 63


def instance_type(gpu_type: str, profile: str) -> str:
    """The type that instances of a card are told by, such as `H100-1g.10gb`."""
    return f"{gpu_type}-{_NOT_IN_A_TYPE.sub('', profile)}"[:_LONGEST_TYPE]


def cards_of(inventory: agent_pb2.Inventory) -> tuple[Card, ...]:
    """The cards of a node that the server may divide.

    A card with an instance that it could not be told to have is left to whoever divided it.
    """
    if not any(told.may_be_divided for told in inventory.mig_cards):
        return ()
    instances = instances_by_card(inventory)
    memory = {gpu.uuid: gpu.memory_total_bytes for gpu in inventory.gpus}
    found = (
        card_of(told, instances.get(told.uuid, ()), memory.get(told.uuid, 0))
        for told in inventory.mig_cards
        if told.may_be_divided and told.profiles
    )
    return tuple(card for card in found if _knows(card))


def with_layouts(cards: Sequence[Card], layouts: Sequence[GpuLayoutRow]) -> tuple[Card, ...]:
    """The cards of a node with what they were last told to be."""
    by_card = {row.card_uuid: row for row in layouts}
    return tuple(
        _with_layout(card, by_card[card.uuid]) if card.uuid in by_card else card for card in cards
    )


def going(card: Card) -> frozenset[str]:
    """UUIDs of the devices of a card that will be gone, because it is being divided otherwise."""
    if card.coming is None:
        return frozenset()
    there = {one.uuid for one in card.instances} if card.divided else {card.uuid}
    return frozenset(there.difference(one.uuid for one in card.coming))


def instances_text(instances: Iterable[Instance]) -> str:
    """Instances as a layout's row has them, such as `3g.40gb@0,1g.10gb@6`."""
    return ",".join(f"{one.profile}@{one.start}" for one in instances)


def instances_of(text: str) -> tuple[Instance, ...]:
    """The instances of a layout's row."""
    parts = (one.rpartition("@") for one in text.split(",") if one)
    return tuple(Instance(profile, int(start)) for profile, _, start in parts)


def layout_directive(row: GpuLayoutRow) -> mig_pb2.LayoutDirective:
    """A layout as its node is told of it."""
    return mig_pb2.LayoutDirective(
        card_uuid=row.card_uuid,
        generation=row.generation,
        instances=[
            mig_pb2.MigPlacement(profile=one.profile, memory_start=one.start)
            for one in instances_of(row.instances)
        ],
    )


def instances_by_card(inventory: agent_pb2.Inventory) -> Mapping[str, Sequence[Instance]]:
    """The instances that a node has, by the UUIDs of their cards."""
    instances: dict[str, list[Instance]] = {}
    for gpu in inventory.gpus:
        if gpu.HasField("mig_instance"):
            one = gpu.mig_instance
            instance = Instance(one.profile, one.memory_start, gpu.uuid)
            instances.setdefault(one.parent_uuid, []).append(instance)
    return instances


def card_of(told: mig_pb2.MigCard, instances: Sequence[Instance], memory: int = 0) -> Card:
    """A card as its node tells of it, with its instances; `memory` in bytes if it is known as a whole."""
    profiles = _profiles(
        tuple(
            Profile(
                name=one.name,
                gpu_type=instance_type(told.gpu_type, one.name),
                compute_slices=one.compute_slices,
                memory_slices=one.memory_slices,
                starts=tuple(one.memory_starts),
                memory_bytes=one.memory_bytes,
            )
            for one in told.profiles
        )
    )
    return Card(
        uuid=told.uuid,
        gpu_type=told.gpu_type,
        # A divided card does not tell of itself; its only instance, if it had but one, would have it all.
        memory_bytes=memory or max((one.memory_bytes for one in profiles), default=0),
        profiles=profiles,
        divided=told.divided,
        instances=tuple(sorted(instances, key=lambda one: one.start)),
    )


@lru_cache(maxsize=1024)
def _profiles(profiles: tuple[Profile, ...]) -> tuple[Profile, ...]:
    """The same object for cards of one kind, so that they are soon found to be alike."""
    return profiles


def _knows(card: Card) -> bool:
    starts: Mapping[str, tuple[int, ...]] = {one.name: one.starts for one in card.profiles}
    return all(one.start in starts.get(one.profile, ()) for one in card.instances)


def _with_layout(card: Card, row: GpuLayoutRow) -> Card:
    if row.state == State.CHANGING:
        there = {(one.profile, one.start): one for one in card.instances}
        coming = tuple(
            there.get((one.profile, one.start), one) for one in instances_of(row.instances)
        )
        return replace(card, coming=coming)
    if row.state == State.FAILED:
        return replace(card, rests_until=row.changed_at + RETRY, failed=True)
    return replace(card, rests_until=row.changed_at + REST)
