"""Which parts of which nodes a reservation gets. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from windlass_server.scheduler.snapshot import NodeState


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a node: CPU in thousandths of a core, memory in bytes, GPUs of one type."""

    node_id: str
    cpu_millis: int
    memory_bytes: int
    gpu_count: int = 0
    gpu_type: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be kept.

    Attributes:
        node_ids: these nodes as a whole; the rest is then not read.
        node_count: so many whole nodes, with GPUs of `gpu_type` if that is said; the rest is not read.
        gpu_count: GPUs in all.
        gpu_type: their type; empty: any.
        cpu_millis: in all; 0: with GPUs their share of their nodes.
        memory_bytes: the same.
    """

    node_ids: tuple[str, ...] = ()
    node_count: int = 0
    gpu_count: int = 0
    gpu_type: str = ""
    cpu_millis: int = 0
    memory_bytes: int = 0


class NotSoMuch(Exception):
    """There is not so much; the text says of what."""


@dataclass(slots=True)
class _Room:
    """What of a node is not reserved; its GPUs by their types, compared without case."""

    node: NodeState
    cpu_millis: int
    memory_bytes: int
    gpus: dict[str, int]

    @property
    def untouched(self) -> bool:
        return (
            self.cpu_millis == self.node.cpu_millis
            and self.memory_bytes == self.node.memory_bytes
            and sum(self.gpus.values()) == len(self.node.gpus)
        )

    def has(self, gpu_type: str) -> tuple[str, int]:
        """The type of which it has most, of those that are asked for, and how many."""
        key = gpu_type.casefold()
        counts = [
            (count, name) for name, count in self.gpus.items() if key in ("", name.casefold())
        ]
        count, name = max(counts, default=(0, ""))
        return name, max(count, 0)


def parts(wanted: Wanted, nodes: Sequence[NodeState], reserved: Iterable[Part]) -> tuple[Part, ...]:
    """The parts to keep, on as few nodes as can be; the same input gives the same parts.

    Args:
        wanted: what is asked for.
        nodes: all that there are.
        reserved: what others have of them at the same time.

    Raises:
        NotSoMuch: what is left does not do.
    """
    rooms = _rooms(nodes, reserved)
    if wanted.node_ids:
        return _whole([rooms[node_id] for node_id in wanted.node_ids], len(wanted.node_ids))
    # What can take work now comes first.
    there = sorted(rooms.values(), key=lambda room: (not _works(room.node), room.node.node_id))
    if wanted.node_count:
        able = [room for room in there if not wanted.gpu_type or room.has(wanted.gpu_type)[1]]
        return _whole([room for room in able if room.untouched], wanted.node_count)
    return _with_gpus(wanted, there) if wanted.gpu_count else _without_gpus(wanted, there)


def _rooms(nodes: Sequence[NodeState], reserved: Iterable[Part]) -> dict[str, _Room]:
    rooms = {
        node.node_id: _Room(
            node,
            node.cpu_millis,
            node.memory_bytes,
            dict(Counter(gpu.gpu_type for gpu in node.gpus)),
        )
        for node in nodes
    }
    for part in reserved:
        room = rooms.get(part.node_id)
        if room is not None:
            room.cpu_millis -= part.cpu_millis
            room.memory_bytes -= part.memory_bytes
            if part.gpu_count:
                room.gpus[part.gpu_type] = room.gpus.get(part.gpu_type, 0) - part.gpu_count
    return rooms


def _whole(rooms: Sequence[_Room], count: int) -> tuple[Part, ...]:
    free = [room for room in rooms if room.untouched]
    if len(free) < count:
        raise NotSoMuch(f"needs {count} whole nodes; {len(free)} are left")
    return tuple(
        Part(
            room.node.node_id,
            room.node.cpu_millis,
            room.node.memory_bytes,
            *_all_gpus(room.node),
        )
        for room in free[:count]
    )


def _all_gpus(node: NodeState) -> tuple[int, str]:
    counts = Counter(gpu.gpu_type for gpu in node.gpus)
    # With all of its CPU and memory nobody can use its GPUs of another type.
    name, count = max(counts.items(), key=lambda each: (each[1], each[0]), default=("", 0))
    return count, name


def _with_gpus(wanted: Wanted, rooms: Sequence[_Room]) -> tuple[Part, ...]:
    found: list[Part] = []
    left = wanted.gpu_count
    offers = [offer for room in rooms if (offer := _offer(wanted, room, left)).gpu_count]
    while left and offers:
        enough = [offer for offer in offers if offer.gpu_count >= left]
        # One node that has all that is left, else the one that has most of it.
        best = enough[0] if enough else max(offers, key=lambda offer: offer.gpu_count)
        room = next(room for room in rooms if room.node.node_id == best.node_id)
        found.append(_offer(wanted, room, min(left, best.gpu_count)))
        left -= found[-1].gpu_count
        offers.remove(best)
    if left:
        what = wanted.gpu_type or "GPUs"
        raise NotSoMuch(f"needs {wanted.gpu_count} {what}; {wanted.gpu_count - left} are left")
    return tuple(found)


def _offer(wanted: Wanted, room: _Room, most: int) -> Part:
    """As many GPUs of a node as it has CPU and memory for, at most so many."""
    name, there = room.has(wanted.gpu_type)
    for count in range(min(there, most), 0, -1):
        cpu_millis = _share(wanted.cpu_millis, wanted.gpu_count, room.node.cpu_millis, room, count)
        memory = _share(wanted.memory_bytes, wanted.gpu_count, room.node.memory_bytes, room, count)
        if cpu_millis <= room.cpu_millis and memory <= room.memory_bytes:
            return Part(room.node.node_id, cpu_millis, memory, count, name)
    return Part(room.node.node_id, 0, 0)


def _share(total: int, gpus: int, of_node: int, room: _Room, count: int) -> int:
    """What goes with so many of the GPUs: of what is asked for in all, or else of their node."""
    if total:
        return -(-total * count // gpus)
    return of_node * count // len(room.node.gpus)


def _without_gpus(wanted: Wanted, rooms: Sequence[_Room]) -> tuple[Part, ...]:
    found: list[Part] = []
    cpu_left, memory_left = wanted.cpu_millis, wanted.memory_bytes
    for room in rooms:
        if not cpu_left and not memory_left:
            break
        part = Part(
            room.node.node_id,
            min(cpu_left, max(room.cpu_millis, 0)),
            min(memory_left, max(room.memory_bytes, 0)),
        )
        if part.cpu_millis or part.memory_bytes:
            found.append(part)
            cpu_left -= part.cpu_millis
            memory_left -= part.memory_bytes
    if cpu_left or memory_left:
        short = (
            f"{cpu_left} thousandths of a core" if cpu_left else f"{memory_left} bytes of memory"
        )
        raise NotSoMuch(f"{short} are not left")
    return tuple(found)


def _works(node: NodeState) -> bool:
    return node.ready and node.takes_work


def of_nodes(parts_: Mapping[str, Sequence[Part]], node_ids: Iterable[str]) -> set[str]:
    """The reservations, by their ids, that have a part of one of these nodes."""
    wanted = set(node_ids)
    return {
        reservation_id
        for reservation_id, some in parts_.items()
        if any(part.node_id in wanted for part in some)
    }
