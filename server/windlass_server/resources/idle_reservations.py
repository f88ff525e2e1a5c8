"""What reservations kept and those whom they were for did not use: it is theirs to answer for."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from windlass.resources.v1 import reservation_pb2
from windlass_server.resources.ledger import Span
from windlass_server.resources.price_book import WHOLE_GPU
from windlass_server.resources.reservation_times import Window
from windlass_server.resources.reserved import part_of, times_of
from windlass_server.resources.reserving import Part
from windlass_server.storage.tables import ReservationRow
from windlass_server.storage.transaction import Transaction
from windlass_server.storage.usage import HeldFilter


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a reservation keeps of a node, and whom for."""

    row: ReservationRow
    users: frozenset[str]
    part: Part
    pool_id: str

    def admits(self, holder: Any) -> bool:
        return holder.project == self.row.project and (not self.users or holder.user in self.users)


@dataclass(slots=True)
class _Node:
    """A node between two moments: what was kept of it, and what held a part of it, each with its time."""

    kept: list[tuple[Window, _Kept]] = field(default_factory=list)
    holders: list[tuple[Window, Any]] = field(default_factory=list)


def idle(tx: Transaction, wanted: HeldFilter, *, start: int, end: int, now: int) -> Iterator[Span]:
    """What was kept and not used between two moments, as spans that were of no use.

    Args:
        tx: where the reservations are read, and what ran on their nodes.
        wanted: which of them are asked for. They have no queue and no labels, and their user is who
            made them.
        start: in microseconds since 1970.
        end: the same; what is yet to come does not count.
        now: the present.
    """
    if wanted.queue or wanted.labels:
        return
    # All are looked at, whichever are asked for: what one has of a node is not another's to use.
    for node_id, node in sorted(_nodes(tx, Window(start, min(end, now))).items()):
        if not any(_is_wanted(wanted, kept) for _, kept in node.kept):
            continue
        projects = tuple(sorted({kept.row.project for _, kept in node.kept}))
        here = HeldFilter(projects, node_id=node_id)
        between = {"start": start, "end": min(end, now)}
        for holder in (
            *tx.usage.held_by_runs(here, labels=(), **between),
            *tx.usage.held_by_allocations(here, **between),
        ):
            until = now if holder.active else holder.end
            if until > holder.start:
                node.holders.append((Window(holder.start, until), holder))
        for kept, span in _idle_of(node):
            if _is_wanted(wanted, kept):
                yield span


def _nodes(tx: Transaction, between: Window) -> dict[str, _Node]:
    rows = {row.reservation_id: row for row in tx.reservations.between(between.start, between.end)}
    pools = {node.node_id: node.pool for node in tx.nodes.all()} if rows else {}
    nodes: dict[str, _Node] = {}
    times: dict[str, list[Window]] = {}
    for each in tx.reservations.parts(list(rows)) if rows else ():
        row = rows[each.reservation_id]
        spec = reservation_pb2.Reservation.FromString(row.spec)
        if row.reservation_id not in times:
            times[row.reservation_id] = list(_windows(row, spec, between))
        kept = _Kept(row, frozenset(spec.users), part_of(each), pools.get(each.node_id, ""))
        node = nodes.setdefault(each.node_id, _Node())
        node.kept += [(window, kept) for window in times[row.reservation_id]]
    return nodes


def _is_wanted(wanted: HeldFilter, kept: _Kept) -> bool:
    return (
        (wanted.projects is None or kept.row.project in wanted.projects)
        and wanted.user in ("", kept.row.user)
        and wanted.node_id in ("", kept.part.node_id)
        and wanted.pool_id in ("", kept.pool_id)
    )


def _windows(
    row: ReservationRow, spec: reservation_pb2.Reservation, between: Window
) -> Iterator[Window]:
    """The times of a reservation, cut to those between two moments and before it was cancelled."""
    over = between.end if row.cancelled_at is None else min(between.end, row.cancelled_at)
    for window in times_of(spec).from_(between.start):
        if window.start >= over:
            return
        # Nothing was kept before it was made.
        begin = max(window.start, between.start, row.created_at)
        if begin < min(window.end, over):
            yield Window(begin, min(window.end, over))


def _idle_of(node: _Node) -> Iterator[tuple[_Kept, Span]]:
    """The spans of one node: between two changes what is kept, less what is used of it."""
    kept, holders = _Present(node.kept), _Present(node.holders)
    changes = sorted(
        {at for window, _ in (*node.kept, *node.holders) for at in (window.start, window.end)}
    )
    for at, until in pairwise(changes):
        present, using = kept.at(at), holders.at(at)
        if present:
            yield from _unused(present, using, at, until)


class _Present:
    """What is there at a moment, asked for in the order of time."""

    def __init__(self, timed: Sequence[tuple[Window, Any]]) -> None:
        self._coming = sorted(timed, key=lambda each: -each[0].start)
        self._there: list[tuple[Window, Any]] = []

    def at(self, moment: int) -> list[Any]:
        while self._coming and self._coming[-1][0].start <= moment:
            self._there.append(self._coming.pop())
        self._there = [each for each in self._there if each[0].end > moment]
        return [thing for _, thing in self._there]


def _unused(
    present: Iterable[_Kept], using: Iterable[Any], at: int, until: int
) -> Iterator[tuple[_Kept, Span]]:
    left = [[holder, holder.cpu_millis, holder.memory_bytes, _gpus(holder)] for holder in using]
    for kept in sorted(present, key=lambda kept: kept.row.reservation_id):
        cpu_millis, memory_bytes = kept.part.cpu_millis, kept.part.memory_bytes
        gpus, key = kept.part.gpu_count * WHOLE_GPU, kept.part.gpu_type.casefold()
        for each in left:
            if kept.admits(each[0]):
                used = min(cpu_millis, each[1]), min(memory_bytes, each[2]), min(gpus, each[3][key])
                cpu_millis, each[1] = cpu_millis - used[0], each[1] - used[0]
                memory_bytes, each[2] = memory_bytes - used[1], each[2] - used[1]
                gpus, each[3][key] = gpus - used[2], each[3][key] - used[2]
        if cpu_millis or memory_bytes or gpus:
            span = Span(
                values={
                    "project": kept.row.project,
                    "user": kept.row.user,
                    "queue": "",
                    "node_id": kept.part.node_id,
                    "pool_id": kept.pool_id,
                    "kind": "RESERVATION",
                    "holder_id": kept.row.reservation_id,
                },
                gpu_types=(kept.part.gpu_type,) if gpus else (),
                cpu_millis=cpu_millis,
                memory_bytes=memory_bytes,
                start=at,
                end=until,
                useful_from=None,
                gpu_millis=gpus,
            )
            yield kept, span


def _gpus(holder: Any) -> Counter[str]:
    """How many thousandths of GPUs of which type it held."""
    each = holder.gpu_millis or WHOLE_GPU
    if holder.gpu_types:
        count = Counter(name.casefold() for name in holder.gpu_types.split(","))
        return Counter({key: number * each for key, number in count.items()})
    number = holder.gpu_uuids.count(",") + 1 if holder.gpu_uuids else 0
    return Counter({str(holder.gpu_type).casefold(): number * each})
