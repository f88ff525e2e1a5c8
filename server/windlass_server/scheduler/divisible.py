"""Whether a node holds a job when its cards are divided otherwise: of a node by itself, as it is or as it will be."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from windlass_server.scheduler.dividing import CardDraft, NodeDraft
from windlass_server.scheduler.filters import first_refusal, fits
from windlass_server.scheduler.rooms import (
    Column,
    Mask,
    Room,
    T,
    enough_memory,
    free_room,
    gpu_keys,
    larger,
    suitable,
)
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Card, Demand, NodeState


@dataclass(frozen=True, slots=True)
class Divisible:
    """Which cards of a node would be divided otherwise for a job.

    Attributes:
        devices: UUIDs of these cards, and of what they are divided into now.
    """

    devices: frozenset[str]


def made_for(demand: Demand) -> bool:
    """Whether cards are divided for a job: not where it has its node alone, or a share."""
    return demand.gpu_count > 0 and not demand.exclusive and not demand.gpu_millis


def divisible(node: NodeState, demand: Demand, now: int) -> Divisible | None:
    """How a node holds a demand when some of its cards are divided otherwise; None: that is not enough.

    Args:
        node: the node.
        demand: what it does not hold as it is.
        now: in microseconds since 1970.
    """
    if not node.cards or not made_for(demand):
        return None
    room, cards = free_room(node), sorted(node.cards, key=lambda card: card.uuid)
    drafts = NodeDraft(card_drafts(cards, node, frozenset(), now))
    for key in keys_made(demand, room):
        draft = drafts.draft(key, demand.gpu_count, room.gpus)
        if draft is None or not draft.makes or _refused(demand, room, key):
            continue
        changed = [cards[index] for index in (*draft.carved, *draft.merged)]
        return Divisible(frozenset(uuid for card in changed for uuid in _devices(card)))
    return None


def may_divide(demand: Demand, room: Room[Column]) -> Mask:
    """Which nodes may hold a demand if all their cards were divided for it, as far as amounts say."""
    made = room
    for key in keys_made(demand, room):
        made = _with(made, key, room.installed.get(key, room.none))
    able: Mask = fits(demand, made)
    return able


def keys_made(demand: Demand, room: Room[T]) -> Iterator[str]:
    """The types of devices that a demand takes, and that could be made."""
    if demand.takes_parts:
        yield from suitable(demand, room, room.memory)
    elif gpu_keys(demand) != (ANY_GPU_TYPE,):
        yield from gpu_keys(demand)
    else:
        yield from (key for key in room.memory if key not in room.parts)


def card_drafts(
    cards: Iterable[Card], node: NodeState, taken: frozenset[str], now: int
) -> tuple[CardDraft, ...]:
    """Cards of a node while it is decided how they shall be divided."""
    free = {gpu.uuid for gpu in node.gpus if gpu.healthy and not gpu.held and gpu.uuid not in taken}
    return tuple(CardDraft(card, free, now) for card in sorted(cards, key=lambda card: card.uuid))


def without_cards(node: NodeState, uuids: Sequence[str]) -> NodeState:
    """The node when these of its cards are for somebody else."""
    gone = [card for card in node.cards if card.uuid in uuids]
    devices = {uuid for card in gone for uuid in _devices(card)}
    return replace(
        node,
        gpus=tuple(replace(one, held=True) if one.uuid in devices else one for one in node.gpus),
        cards=tuple(card for card in node.cards if card not in gone),
    )


def _devices(card: Card) -> Iterator[str]:
    yield card.uuid
    yield from (one.uuid for one in card.instances)


def _refused(demand: Demand, room: Room[int], key: str) -> bool:
    if demand.gpu_memory_bytes and not enough_memory(demand, room, key):
        return True
    return first_refusal(demand, _with(room, key, demand.gpu_count)) is not None


def _with(room: Room[T], key: str, count: T) -> Room[T]:
    """The room with so many devices of a type, or more if it has more."""
    gpus, islands = dict(room.gpus), dict(room.islands)
    for columns in (gpus, islands):
        columns[key] = larger(columns.get(key, room.none), count)
        if key not in room.parts:
            columns[ANY_GPU_TYPE] = larger(columns.get(ANY_GPU_TYPE, room.none), count)
    return replace(room, gpus=gpus, islands=islands)
