"""Cards that can be divided, as the scheduler sees them; and what becomes of them when they are."""

from collections.abc import Sequence
from dataclasses import replace

from tests.unit.scheduler.worlds import GIB, a_node
from windlass_server.scheduler.partition import Change
from windlass_server.scheduler.snapshot import Card, Gpu, Instance, NodeState, Profile

# Name, slices of compute and of memory, where the memory may begin, GiB: as NVML tells of an H100.
_H100 = (
    ("1g.10gb", 1, 1, (0, 1, 2, 3, 4, 5, 6), 10),
    ("1g.20gb", 1, 2, (0, 2, 4, 6), 20),
    ("2g.20gb", 2, 2, (0, 2, 4), 20),
    ("3g.40gb", 3, 4, (0, 4), 40),
    ("4g.40gb", 4, 4, (0,), 40),
    ("7g.80gb", 7, 8, (0,), 80),
)
PROFILES = tuple(
    Profile(name, f"H100-{name}", compute, memory, starts, gib * GIB)
    for name, compute, memory, starts, gib in _H100
)
BY_NAME = {profile.name: profile for profile in PROFILES}
WHOLE_MEMORY = 80 * GIB


def placed(layout: str, card: str) -> tuple[Instance, ...]:
    """The instances of `3g.40gb@4 1g.10gb@0`; a UUID is the card's and the place."""
    parts = (one.split("@") for one in layout.split())
    return tuple(Instance(name, int(start), f"{card}/{start}") for name, start in parts)


def a_card(
    uuid: str, layout: str | None = None, *, busy: Sequence[int] = (), **values: object
) -> tuple[Card, list[Gpu]]:
    """A card and its devices.

    Args:
        uuid: of the card.
        layout: what it is divided into; empty: into nothing; None: it is whole.
        busy: the places of the instances that somebody has; of a whole card: 0.
        values: as in `Card`.
    """
    instances = placed(layout or "", uuid)
    card = Card(uuid, "H100", WHOLE_MEMORY, PROFILES, layout is not None, instances)
    return replace(card, **values), devices_of(card, busy)  # type: ignore[arg-type]


def devices_of(card: Card, busy: Sequence[int] = ()) -> list[Gpu]:
    """What a node tells of a card as devices."""
    if not card.divided:
        return [Gpu(card.uuid, card.gpu_type, True, 0 in busy, memory_bytes=card.memory_bytes)]
    return [
        Gpu(
            one.uuid,
            BY_NAME[one.profile].gpu_type,
            True,
            one.start in busy,
            part=True,
            profile=one.profile,
            memory_bytes=BY_NAME[one.profile].memory_bytes,
        )
        for one in card.instances
    ]


def node_of(name: str, *cards: tuple[Card, list[Gpu]], **values: object) -> NodeState:
    """A node with these cards."""
    gpus = [gpu for _, devices in cards for gpu in devices]
    node = a_node(name, gpus=gpus, **values)  # type: ignore[arg-type]
    return replace(node, cards=tuple(card for card, _ in cards))


def divided(node: NodeState, change: Change) -> NodeState:
    """The node after a change was made; what it says that is there must be there, and idle what goes."""
    (card,) = [one for one in node.cards if one.uuid == change.card_uuid]
    assert change.seen == {one.uuid for one in card.instances}
    there = {(one.profile, one.start, one.uuid) for one in card.instances}
    kept = {(one.profile, one.start, one.uuid) for one in change.instances if one.uuid}
    assert kept <= there
    going = {uuid for *_, uuid in there - kept} if card.divided else {card.uuid}
    held = {gpu.uuid for gpu in node.gpus if gpu.held and not gpu.going}
    assert not going & held
    instances = tuple(replace(one, uuid=f"{card.uuid}/{one.start}") for one in change.instances)
    after = replace(card, divided=bool(instances), instances=instances, coming=None)
    stay = {one.uuid for one in change.instances if one.uuid}
    ours = {card.uuid} | {one.uuid for one in card.instances}
    others = [gpu for gpu in node.gpus if gpu.uuid not in ours]
    mine = [replace(gpu, held=gpu.uuid in held & stay) for gpu in devices_of(after)]
    cards = tuple(after if one is card else one for one in node.cards)
    return replace(node, gpus=(*others, *mine), cards=cards)


def begun(node: NodeState, change: Change) -> NodeState:
    """The node while the change is being made: nobody gets what will be gone."""
    cards = tuple(
        replace(one, coming=change.instances) if one.uuid == change.card_uuid else one
        for one in node.cards
    )
    stay = {one.uuid for one in change.instances if one.uuid}
    going = (change.seen or {change.card_uuid}) - stay
    gpus = tuple(
        replace(gpu, held=True, going=True) if gpu.uuid in going else gpu for gpu in node.gpus
    )
    return replace(node, cards=cards, gpus=gpus)


def assert_possible(card: Card) -> None:
    """That its instances lie where they may, and none over another."""
    taken: list[int] = []
    for one in card.instances:
        profile = BY_NAME[one.profile]
        assert one.start in profile.starts
        taken += range(one.start, one.start + profile.memory_slices)
    assert len(taken) == len(set(taken))
    assert all(place < 8 for place in taken)
    assert sum(BY_NAME[one.profile].compute_slices for one in card.instances) <= 7
