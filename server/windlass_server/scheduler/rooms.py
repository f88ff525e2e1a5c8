"""What nodes have to give, as one number for a node or as one array for all of them.

Filters and scores are written once, over `Room[T]`: with `T = int` they answer for one node (the
submit check, the guard of a commit), with `T = Column` for every node in one numpy step (the
planner, explanations). So the answers cannot differ.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from windlass_server.scheduler.islands import largest
from windlass_server.scheduler.slices import most_of_each, whole_profiles
from windlass_server.scheduler.snapshot import (
    ANY_GPU_TYPE,
    WHOLE,
    Card,
    Demand,
    Gpu,
    LabelRule,
    LabelTest,
    NodeState,
    Profile,
)

Column: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]

T = TypeVar("T", int, Column)

ANY_DEVICE = "*"
"""As a key: no type is called that."""


@dataclass(frozen=True, slots=True)
class Part:
    """A type of instances: their profile, and the key of the type of their card."""

    profile: str
    card: str


@dataclass(frozen=True, slots=True)
class Room(Generic[T]):
    """An amount of each dimension: what is free now, or what there is when nothing runs.

    Attributes:
        ready: 1 where an agent is connected, else 0.
        takes_work: 1 where new work may be placed, 0 on nodes that are cordoned or being drained.
        isolation: the strongest isolation level.
        cpu_millis: thousandths of a core.
        memory_bytes: bytes.
        gpus: devices that can be given out, by `gpu_key` of their type. `ANY_GPU_TYPE` holds the
            most that there are of one type of whole GPUs, because one job's GPUs are of one type.
        islands: of `gpus`, by the same keys, the most that all reach each other over NVLink.
        installed: devices that are there, healthy or not, held or not, or could be when cards were
            divided otherwise, by the same keys; and by `ANY_DEVICE` all that are there, instances of
            divided cards too.
        none: zero in the form of the others.
        places: index of each node by its id; empty where it does not matter which node it is.
        index: which of these each is.
        pools: 1 where a node is in a pool, else 0, by the pool's name.
        sharing: 1 where a card may be shared, else 0.
        shared: the most that is left of one card that is shared already, in thousandths, by the keys of
            `gpus`.
        parts: the types that are instances of divided cards, by their keys.
        memory: what memory each device of a type has at least, by the same keys, in bytes; 0 where
            there is none, or it is not known.
        labels: by a label's key the code of its value (`label_code`), 0 where it is not there; by
            `ANY_LABEL` 1 where it may come to have any.
        whole_cpu: thousandths of a core that there are when nothing runs.
        whole_memory: bytes that there are when nothing runs.
        divisible: by the keys of types of whole cards, the most memory of a smaller instance that such
            a card can be divided into; 0 where none can.
    """

    ready: T
    takes_work: T
    isolation: T
    cpu_millis: T
    memory_bytes: T
    gpus: dict[str, T]
    islands: dict[str, T]
    installed: dict[str, T]
    none: T
    places: dict[str, int]
    index: T
    pools: dict[str, T]
    sharing: T
    shared: dict[str, T]
    labels: Mapping[str, T]
    whole_cpu: T
    whole_memory: T
    parts: Mapping[str, Part] = field(default_factory=dict)
    memory: Mapping[str, T] = field(default_factory=dict)
    divisible: Mapping[str, T] = field(default_factory=dict)


ANY_LABEL = ""
"""As a label's key: no label is called that."""


@lru_cache(maxsize=65536)
def label_code(value: str) -> int:
    """A number for a label's value, never 0, so that whole columns of labels can be compared.

    62 bits of a hash: nodes can have as many values as they like without a table of them.
    """
    digest = blake2b(value.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2 | 1


@lru_cache(maxsize=8192)
def _codes(labels: tuple[tuple[str, str], ...]) -> Mapping[str, int]:
    return {key: label_code(value) for key, value in labels}


def _labels(node: NodeState) -> Mapping[str, int]:
    return {ANY_LABEL: 1} if node.labels is None else _codes(node.labels)


def passes(rule: LabelRule, room: Room[T]) -> T:
    """1 where a label is as a rule asks, or may come to be, else 0."""
    there = room.labels.get(rule.key, room.none)
    codes = [label_code(value) for value in rule.values]
    may_be = room.labels.get(ANY_LABEL, room.none)
    if isinstance(there, int):
        has = there in codes if rule.values else there != 0
        return int(has != (rule.test in _ABSENT) or may_be > 0)
    has = np.isin(there, codes) if rule.values else there != 0
    passed: Column = ((has != (rule.test in _ABSENT)) | (may_be > 0)).astype(np.int64)
    return passed


def passing(rule: LabelRule, labels: Mapping[str, str]) -> bool:
    """Whether the labels of one node are as a rule asks."""
    has = labels.get(rule.key) in rule.values if rule.values else rule.key in labels
    return has != (rule.test in _ABSENT)


_ABSENT = (LabelTest.NOT_IN, LabelTest.ABSENT)


def gpu_keys(demand: Demand) -> tuple[str, ...]:
    """The keys of the types of GPUs that will do for a demand, in the order of its wish."""
    return tuple(map(gpu_key, demand.gpu_types or (demand.gpu_type,)))


def wishes(demand: Demand) -> tuple[Demand, ...]:
    """The demand for each type of GPUs that it would have, the best first; the same where it names one or none."""
    if not demand.gpu_types:
        return (demand,)
    return tuple(replace(demand, gpu_type=name, gpu_types=()) for name in demand.gpu_types)


def gpu_key(gpu_type: str) -> str:
    """The spelling under which types are compared: case matters not."""
    return gpu_type.casefold()


def free_room(node: NodeState) -> Room[int]:
    """What a node can give now."""
    given = [gpu for gpu in node.gpus if gpu.healthy and not gpu.held]
    offers = offered(node)
    return Room(
        ready=int(node.ready),
        takes_work=int(node.takes_work),
        isolation=node.isolation_level,
        cpu_millis=node.cpu_free,
        memory_bytes=node.memory_free,
        gpus=_by_type(given),
        islands=_islands(given),
        installed=_installed(node, offers),
        none=0,
        places={node.node_id: 0},
        index=0,
        pools={node.pool: 1},
        sharing=int(node.max_sharers > 0),
        shared=_shared(node),
        labels=_labels(node),
        whole_cpu=node.cpu_millis,
        whole_memory=node.memory_bytes,
        parts=offers.parts,
        memory=offers.memory,
        divisible=offers.divisible,
    )


def full_room(node: NodeState) -> Room[int]:
    """What a node can give once it is open and reachable, empty, and its GPUs are repaired.

    Unhealthy GPUs count: health comes back, and a job is not refused for a fault of today. For the
    same reason it does not matter whether the node has failed the job.
    """
    offers = offered(node)
    installed = _installed(node, offers)
    return Room(
        ready=1,
        takes_work=1,
        isolation=node.isolation_level,
        cpu_millis=node.cpu_millis,
        memory_bytes=node.memory_bytes,
        gpus=installed,
        islands=_islands_ever(node, installed, offers),
        installed=installed,
        none=0,
        places={},
        index=0,
        pools={node.pool: 1},
        sharing=int(node.max_sharers > 0),
        shared={},
        labels=_labels(node),
        whole_cpu=node.cpu_millis,
        whole_memory=node.memory_bytes,
        parts=offers.parts,
        memory=offers.memory,
        divisible=offers.divisible,
    )


def in_columns(rooms: Sequence[Room[int]]) -> Room[Column]:
    """The same rooms as arrays, in the same order."""
    return Room(
        ready=_column([room.ready for room in rooms]),
        takes_work=_column([room.takes_work for room in rooms]),
        isolation=_column([room.isolation for room in rooms]),
        cpu_millis=_column([room.cpu_millis for room in rooms]),
        memory_bytes=_column([room.memory_bytes for room in rooms]),
        gpus=_columns_by_type([room.gpus for room in rooms]),
        islands=_columns_by_type([room.islands for room in rooms]),
        installed=_columns_by_type([room.installed for room in rooms]),
        none=np.zeros(len(rooms), np.int64),
        places={node_id: index for index, room in enumerate(rooms) for node_id in room.places},
        index=np.arange(len(rooms)),
        pools=_columns_by_name([room.pools for room in rooms]),
        sharing=_column([room.sharing for room in rooms]),
        shared=_columns_by_type([room.shared for room in rooms]),
        labels=_columns_by_name([room.labels for room in rooms]),
        whole_cpu=_column([room.whole_cpu for room in rooms]),
        whole_memory=_column([room.whole_memory for room in rooms]),
        parts={key: part for room in rooms for key, part in room.parts.items()},
        memory=_columns_by_name([room.memory for room in rooms]),
        divisible=_columns_by_name([room.divisible for room in rooms]),
    )


def copied(room: Room[Column]) -> Room[Column]:
    """A room whose free amounts can be changed; what a plan cannot change is shared."""
    return replace(
        room,
        cpu_millis=room.cpu_millis.copy(),
        memory_bytes=room.memory_bytes.copy(),
        gpus={key: column.copy() for key, column in room.gpus.items()},
        islands={key: column.copy() for key, column in room.islands.items()},
        shared={key: column.copy() for key, column in room.shared.items()},
    )


def copy_row(room: Room[Column], of: Room[Column], index: int) -> None:
    """What a plan changes of a node, as it is in another room."""
    room.cpu_millis[index] = of.cpu_millis[index]
    room.memory_bytes[index] = of.memory_bytes[index]
    pairs = (room.gpus, of.gpus), (room.islands, of.islands), (room.shared, of.shared)
    for columns, others in pairs:
        for key, column in others.items():
            columns.setdefault(key, column.copy())[index] = column[index]


_FIELDS = tuple(Room.__dataclass_fields__)


def rows_of(room: Room[Column], indexes: Column) -> Room[Column]:
    """What these nodes have, a row for each of them, which may be changed."""
    return Room(**{name: _rows(getattr(room, name), indexes) for name in _FIELDS})


def _rows(amounts: Any, indexes: Column) -> Any:
    """The rows of whatever a room has by node."""
    if isinstance(amounts, np.ndarray):
        return amounts[indexes]
    if isinstance(amounts, dict) and isinstance(next(iter(amounts.values()), None), np.ndarray):
        return {key: column[indexes] for key, column in amounts.items()}
    return amounts  # of no node in particular, such as their places


def marked(room: Room[T], node_ids: Iterable[str]) -> T:
    """1 for each of these nodes that the room tells apart, 0 for the others."""
    found = [room.places[node_id] for node_id in node_ids if node_id in room.places]
    if isinstance(room.none, int):
        return int(bool(found))
    return np.isin(room.index, found).astype(np.int64)


def share_left(gpu: Gpu, max_sharers: int) -> int:
    """Thousandths of a card that another may have who shares it; 0 when nobody shares it yet."""
    if not gpu.shared_millis or gpu.sharers >= max_sharers:
        return 0
    return max(WHOLE - gpu.shared_millis, 0)


def most_of_a_card(key: str, room: Room[T]) -> T:
    """The largest share of a whole card of a type that can be had, in thousandths."""
    if key in room.parts:
        return room.none
    shared, whole = room.shared.get(key, room.none), room.gpus.get(key, room.none)
    if isinstance(shared, int):
        return WHOLE if whole else shared
    return np.where(whole > 0, WHOLE, shared)


def _shared(node: NodeState) -> dict[str, int]:
    most: dict[str, int] = {}
    for gpu in node.gpus:
        if gpu.healthy and (left := share_left(gpu, node.max_sharers)):
            for key in (gpu_key(gpu.gpu_type), ANY_GPU_TYPE):
                most[key] = max(most.get(key, 0), left)
    return most


@dataclass(frozen=True, slots=True)
class Offers:
    """What types of devices a node has, or could have when its cards were divided otherwise.

    Attributes:
        counts: how many there could be of each at most, by key.
        parts, memory, divisible: as in `Room`.
    """

    counts: dict[str, int]
    parts: dict[str, Part]
    memory: dict[str, int]
    divisible: dict[str, int]


def offered(node: NodeState) -> Offers:
    """What a node has or could have."""
    offers = Offers({}, {}, {}, {})
    for gpu in _standing(node):
        key = gpu_key(gpu.gpu_type)
        part = Part(gpu.profile, key.rpartition("-")[0]) if gpu.part else None
        _offer(offers, key, 1, gpu.memory_bytes, part)
    # Cards of one kind are counted together: a node has eight of them mostly.
    alike: dict[tuple[str, int, int, bool], list[Card]] = {}
    for card in node.cards:
        kind = card.gpu_type, card.memory_bytes, id(card.profiles), card.failed
        alike.setdefault(kind, []).append(card)
    for cards in alike.values():
        _offer_cards(offers, cards[0], len(cards))
    return offers


def _offer_cards(offers: Offers, card: Card, count: int) -> None:
    key = gpu_key(card.gpu_type)
    _offer(offers, key, count, card.memory_bytes, None)
    for one in _parts_of(card.gpu_type, card.profiles):
        _offer(offers, one.key, count * one.most, one.memory, one.part)
        if not card.failed and not one.whole:
            offers.divisible[key] = max(offers.divisible.get(key, 0), one.memory)


@dataclass(frozen=True, slots=True)
class _PartOffer:
    """Instances of a profile that a card could be divided into: how many, and whether one is all of it."""

    key: str
    part: Part
    most: int
    memory: int
    whole: bool


@lru_cache(maxsize=1024)
def _parts_of(gpu_type: str, profiles: tuple[Profile, ...]) -> tuple[_PartOffer, ...]:
    most, whole = most_of_each(profiles), whole_profiles(profiles)
    return tuple(
        _PartOffer(
            gpu_key(one.gpu_type),
            Part(one.name, gpu_key(gpu_type)),
            most[one.name],
            one.memory_bytes,
            one.name in whole,
        )
        for one in profiles
    )


def _standing(node: NodeState) -> Iterator[Gpu]:
    """The devices that stay what they are."""
    if not node.cards:
        yield from node.gpus
        return
    ours = {card.uuid for card in node.cards}
    ours.update(one.uuid for card in node.cards for one in card.instances)
    yield from (gpu for gpu in node.gpus if gpu.uuid not in ours)


def _offer(offers: Offers, key: str, count: int, memory: int, part: Part | None) -> None:
    offers.counts[key] = offers.counts.get(key, 0) + count
    offers.memory[key] = min(offers.memory.get(key, memory), memory)
    if part is not None:
        offers.parts[key] = part


def _installed(node: NodeState, offers: Offers) -> dict[str, int]:
    whole = [count for key, count in offers.counts.items() if key not in offers.parts]
    return offers.counts | {ANY_GPU_TYPE: max(whole, default=0), ANY_DEVICE: len(node.gpus)}


def _by_type(gpus: Sequence[Gpu]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for gpu in gpus:
        key = gpu.gpu_type.casefold()
        counts[key] = counts.get(key, 0) + 1
    whole = {gpu.gpu_type.casefold() for gpu in gpus if not gpu.part}
    counts[ANY_GPU_TYPE] = max((counts[key] for key in whole), default=0)
    return counts


def _islands(gpus: Sequence[Gpu]) -> dict[str, int]:
    by_type: dict[str, list[Gpu]] = {}
    for gpu in gpus:
        by_type.setdefault(gpu_key(gpu.gpu_type), []).append(gpu)
    most = {key: largest(those) for key, those in by_type.items()}
    whole = (most[key] for key, those in by_type.items() if not those[0].part)
    return most | {ANY_GPU_TYPE: max(whole, default=0)}


def _islands_ever(node: NodeState, installed: Mapping[str, int], offers: Offers) -> dict[str, int]:
    """The largest islands of an empty node; cards that are divided now belong to one when they are whole.

    What was only declared may come to be linked in any way.
    """
    if node.labels is None:
        return dict(installed)
    most = _islands(node.gpus)
    there = {gpu.uuid for gpu in node.gpus}
    for card in node.cards:
        if card.uuid not in there:
            key = gpu_key(card.gpu_type)
            most[key] = most.get(key, 0) + 1
    most |= {key: 1 for key in offers.parts if offers.counts.get(key)}
    whole = (count for key, count in most.items() if key and key not in offers.parts)
    return most | {ANY_GPU_TYPE: max(whole, default=0)}


def suitable(demand: Demand, room: Room[T], keys: Iterable[str]) -> Iterator[str]:
    """Of these keys those of types that a demand takes that also takes instances, whatever their memory."""
    wanted = gpu_keys(demand)
    for key in keys:
        part = room.parts.get(key)
        if key in (ANY_GPU_TYPE, ANY_DEVICE) or (part and demand.whole_cards):
            continue
        if demand.mig_profile and (part is None or part.profile != demand.mig_profile):
            continue
        if wanted == (ANY_GPU_TYPE,) or key in wanted or (part and part.card in wanted):
            yield key


def enough_memory(demand: Demand, room: Room[T], key: str) -> T:
    """1 where devices of a type have the memory that a demand asks for, else 0.

    A card that could be divided so that a part of it is enough is not given as a whole, where a part will do.
    """
    asked = demand.gpu_memory_bytes
    has, divisible = room.memory.get(key, room.none), room.divisible.get(key, room.none)
    if demand.whole_cards:
        divisible = room.none
    if isinstance(has, int):
        return int(has >= asked > divisible)
    return ((has >= asked) & (divisible < asked)).astype(np.int64)


def suited(demand: Demand, room: Room[T], counts: Mapping[str, T]) -> T:
    """The most that there are of one type that a demand takes, by counts of each type."""
    if not demand.takes_parts:
        keys = gpu_keys(demand)
        most = counts.get(keys[0], room.none)
        for key in keys[1:]:
            most = larger(most, counts.get(key, room.none))
        return most
    most = room.none
    for key in suitable(demand, room, counts):
        there = counts[key]
        if demand.gpu_memory_bytes:
            there = there * enough_memory(demand, room, key)
        most = larger(most, there)
    return most


def larger(one: T, other: T) -> T:
    """The larger of two amounts, node by node."""
    return max(one, other) if isinstance(one, int) else np.maximum(one, other)


def _columns_by_type(counts: Sequence[dict[str, int]]) -> dict[str, Column]:
    return _columns_by_name([*counts], ANY_GPU_TYPE)


def _columns_by_name(counts: Sequence[Mapping[str, int]], *names: str) -> dict[str, Column]:
    keys = set(names).union(*counts)
    return {key: _column([count.get(key, 0) for count in counts]) for key in sorted(keys)}


def _column(values: list[int]) -> Column:
    return np.array(values, np.int64)
