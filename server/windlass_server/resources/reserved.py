"""What reservations keep of the nodes, as the scheduler sees it: rows in, moments out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from windlass.resources.v1 import reservation_pb2
from windlass_server.resources.reservation_times import Times, Window, clash
from windlass_server.resources.reserving import Part
from windlass_server.scheduler.snapshot import Kept, Moment, NodeState
from windlass_server.storage.tables import ReservationRow
from windlass_server.storage.transaction import Transaction
from windlass_server.timestamps import from_proto

# Of a reservation that comes again so many times are looked at: the first is the one that counts for
# what may run for ever.
_TIMES_AHEAD = 32


@dataclass(frozen=True, slots=True)
class Live:
    """A reservation whose last time is not over."""

    row: ReservationRow
    spec: reservation_pb2.Reservation
    times: Times
    parts: tuple[Part, ...]


class Clashes:
    """Which reservations have a time that overlaps one of these, remembered: to find out can take long.

    Args:
        times: when a reservation is to be.
        now: in microseconds since 1970.
        others: the times of others, which are looked at at once.
    """

    def __init__(self, times: Times, now: int, others: Iterable[Times] = ()) -> None:
        self.times = times
        self._now = now
        self._known: dict[Times, bool] = {}
        for other in others:
            self.among(other)

    def among(self, other: Times) -> bool:
        """Whether a time of another overlaps."""
        known = self._known.get(other)
        if known is None:
            known = self._known[other] = clash(self.times, other, self._now) is not None
        return known


def times_of(spec: reservation_pb2.Reservation) -> Times:
    """When a reservation is, by what is stored of it."""
    start, end = from_proto(spec.start_time), from_proto(spec.end_time)
    if not spec.HasField("recurrence"):
        return Times(start, end - start)
    again = spec.recurrence
    until = from_proto(again.until) if again.HasField("until") else None
    return Times(start, end - start, again.cron, again.time_zone or "UTC", until)


def live(tx: Transaction, now: int) -> list[Live]:
    """The reservations that have a time to come, or have it now, with their parts."""
    rows = tx.reservations.live(now)
    if not rows:
        return []
    parts: dict[str, list[Part]] = {}
    for part in tx.reservations.parts([row.reservation_id for row in rows]):
        parts.setdefault(part.reservation_id, []).append(part_of(part))
    specs = [reservation_pb2.Reservation.FromString(row.spec) for row in rows]
    return [
        Live(row, spec, times_of(spec), tuple(parts.get(row.reservation_id, ())))
        for row, spec in zip(rows, specs, strict=True)
    ]


def part_of(row: Any) -> Part:
    """A part as it is stored."""
    return Part(row.node_id, row.cpu_millis, row.memory_bytes, row.gpu_count, row.gpu_type)


def moments(
    tx: Transaction, nodes: Sequence[NodeState], now: int, *, without: str = ""
) -> tuple[Moment, ...]:
    """What these nodes have, and what is kept of that, now and from each beginning of a reservation on.

    Args:
        tx: the transaction in which the nodes were read.
        nodes: the nodes.
        now: in microseconds since 1970.
        without: a run or an allocation that is left out of account, as if it held nothing.
    """
    by_node: dict[str, list[tuple[Window, Kept]]] = {}
    there = {node.node_id: node for node in nodes}
    for one in live(tx, now):
        windows = list(islice(one.times.from_(now), _TIMES_AHEAD))
        for part in one.parts:
            if part.node_id in there:
                kept = _kept(one, part)
                by_node.setdefault(part.node_id, []).extend((window, kept) for window in windows)
    if not by_node:
        return ()
    holders: dict[str, list[Any]] = {}
    for row in tx.reservations.running_on(sorted(by_node)):
        if row.holder != without:
            holders.setdefault(row.node_id, []).append(row)
    return tuple(
        _moment(there[node_id], at, windows, holders.get(node_id, ()), now)
        for node_id, windows in by_node.items()
        for at in sorted({now, *(window.start for window, _ in windows if window.start > now)})
    )


def _kept(one: Live, part: Part) -> Kept:
    return Kept(
        reservation_id=one.row.reservation_id,
        project=one.row.project,
        users=frozenset(one.spec.users),
        cpu_millis=part.cpu_millis,
        memory_bytes=part.memory_bytes,
        gpu_count=part.gpu_count,
        gpu_type=part.gpu_type,
        until=0,
    )


def _moment(
    node: NodeState,
    at: int,
    windows: Iterable[tuple[Window, Kept]],
    holders: Sequence[Any],
    now: int,
) -> Moment:
    """What a node has at a time: less what holds a part of it and may still do so then."""
    types = {gpu.uuid: gpu.gpu_type for gpu in node.gpus if gpu.healthy and not gpu.going}
    staying = [row for row in holders if at <= now or _may_stay(row, at, now)]
    held = {uuid for row in staying for uuid in _uuids(row)}
    gpus = Counter(types.values())
    gpus.subtract(types[uuid] for uuid in held if uuid in types)
    kept = [
        replace(each, until=window.end)
        for window, each in windows
        if window.start <= at < window.end
    ]
    return Moment(
        node_id=node.node_id,
        at=at,
        cpu_millis=node.cpu_millis - sum(row.cpu_millis for row in staying),
        memory_bytes=node.memory_bytes - sum(row.memory_bytes for row in staying),
        gpus=dict(gpus),
        kept=tuple(_less_used(kept, staying, types)),
    )


def _may_stay(row: Any, at: int, now: int) -> bool:
    """Whether what holds a part of a node may do so at a time to come."""
    if row.started_end is not None:
        return bool(row.started_end > at)
    return row.time_limit is None or bool(now + row.time_limit + row.grace > at)


def _less_used(
    kept: Sequence[Kept], staying: Sequence[Any], types: Mapping[str, str]
) -> list[Kept]:
    """What is still kept, less what those have of it whom it is for."""
    left = list(kept)
    for row in staying:
        cpu_millis, memory_bytes = row.cpu_millis, row.memory_bytes
        gpus = _alone(row, types)
        # Of the one that it names first.
        for index in sorted(
            range(len(left)), key=lambda one: left[one].reservation_id != row.reservation_id
        ):
            each = left[index]
            if not each.admits(row.project, row.user):
                continue
            key = each.gpu_type.casefold()
            used = (
                min(cpu_millis, each.cpu_millis),
                min(memory_bytes, each.memory_bytes),
                min(gpus[key], each.gpu_count),
            )
            left[index] = replace(
                each,
                cpu_millis=each.cpu_millis - used[0],
                memory_bytes=each.memory_bytes - used[1],
                gpu_count=each.gpu_count - used[2],
            )
            cpu_millis, memory_bytes = cpu_millis - used[0], memory_bytes - used[1]
            gpus[key] -= used[2]
    return _less_shared(left, staying, types)


def _less_shared(
    kept: Sequence[Kept], staying: Sequence[Any], types: Mapping[str, str]
) -> list[Kept]:
    """What is still kept, less the cards that are shared by nobody but those whom it is for."""
    left = list(kept)
    sharers: dict[str, list[Any]] = {}
    for row in staying:
        for uuid in _uuids(row) if row.gpu_millis else ():
            sharers.setdefault(uuid, []).append(row)
    for uuid, rows in sorted(sharers.items()):
        key = types.get(uuid, "").casefold()
        for index, each in enumerate(left):
            if (
                each.gpu_count
                and each.gpu_type.casefold() == key
                and all(each.admits(row.project, row.user) for row in rows)
            ):
                left[index] = replace(each, gpu_count=each.gpu_count - 1)
                break
    return left


def _alone(row: Any, types: Mapping[str, str]) -> Counter[str]:
    """How many GPUs of which type (in lower case) it holds whole, of those that can be given out."""
    uuids = () if row.gpu_millis else _uuids(row)
    return Counter(types[uuid].casefold() for uuid in uuids if uuid in types)


def _uuids(row: Any) -> Sequence[str]:
    return row.gpu_uuids.split(",") if row.gpu_uuids else ()
