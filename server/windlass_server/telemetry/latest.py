"""The newest values of every node, GPU and run, in memory.

Values are shown until newer ones come, however old: each comes with the time it was measured at.
What an agent sends is not trusted: what makes no sense is left out, and what one node can make the
server hold is bounded.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from windlass.agents.v1.agent_pb2 import GpuProcessSample, RunStamp, Series
from windlass_server.clock import Clock
from windlass_server.telemetry.fields import LIVE_NAMES, MAX_SUBJECT_CHARS, RUN_ID
from windlass_server.telemetry.known_batches import Batch
from windlass_server.telemetry.node_times import in_our_time
from windlass_server.telemetry.readings import Decoder, Layout, Readings

MAX_GPUS = 1024
MAX_RUNS = 4096
MAX_PROCESSES = 4096
_LAYOUTS = 8
_MAX_INT64 = (1 << 63) - 1
# The largest number of both kinds that an int64 holds.
_LARGEST = float(_MAX_INT64 >> 10 << 10)
# A run that its node has not measured for so long has ended.
_RUN_MICROS = 60_000_000


@dataclass(slots=True)
class Values:
    """The newest values of one thing.

    Attributes:
        sampled_at: when the newest of them was measured, in microseconds since 1970; by the server's
            clock where the node's is wrong.
    """

    sampled_at: int = 0
    _values: dict[int, float] = field(default_factory=dict)

    def number(self, measured: Series.Field) -> float:
        """A value in the unit of its field's name; 0 when it was never measured."""
        return self._values.get(measured, 0.0)

    def whole(self, measured: Series.Field) -> int:
        """As `number`, as a whole number from 0 to the largest that an int64 holds."""
        value = self._values.get(measured, 0.0)
        if 0.0 <= value <= _LARGEST:
            return int(value)
        return 0 if value < 0 else int(_LARGEST)

    def has(self, measured: Series.Field) -> bool:
        """Whether it was ever measured."""
        return measured in self._values

    def all(self) -> Mapping[int, float]:
        """Every value by its field."""
        return self._values

    def set(self, measured: int, value: float, at: int) -> None:
        """Take in a newer value."""
        self._values[measured] = value
        self.sampled_at = at


@dataclass(frozen=True, slots=True)
class Process:
    """A process that uses a GPU; `run_id` is empty when it is none of ours."""

    pid: int
    memory_used_bytes: int
    run_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Holder:
    """The run that a GPU's values are of, as its node says."""

    run_id: str
    job_id: str
    project: str
    rank: int


@dataclass(frozen=True, slots=True)
class NewestGpus:
    """What is known of the GPUs of one node.

    Attributes:
        values: of those that were ever measured, by UUID.
        processes: what used each when it was last looked at, by UUID.
        unhealthy: the UUIDs of those that cannot be given to jobs, as far as the node has said.
    """

    values: Mapping[str, Values] = field(default_factory=lambda: MappingProxyType({}))
    processes: Mapping[str, Sequence[Process]] = field(default_factory=lambda: MappingProxyType({}))
    unhealthy: frozenset[str] = frozenset()


_NO_GPUS = NewestGpus()
_Slot = tuple[Values, int]


@dataclass(slots=True)
class _Node:
    batches: int = 0
    decoder: Decoder = field(default_factory=Decoder)
    # By the id of a layout, which they hold so that no other gets that id.
    slots: dict[int, tuple[Layout, Sequence[_Slot | None]]] = field(default_factory=dict)
    host: Values = field(default_factory=Values)
    gpus: dict[str, Values] = field(default_factory=dict)
    runs: dict[str, Values] = field(default_factory=dict)
    unhealthy: frozenset[str] = frozenset()
    processes: Mapping[str, Sequence[Process]] = field(default_factory=lambda: MappingProxyType({}))
    holders: Mapping[str, Holder] = field(default_factory=lambda: MappingProxyType({}))


class LatestTelemetry:
    """The newest values of every node.

    Args:
        clock: wall time; what a node says of the time is believed near it.
        health_changed: called with a node's id when one of its GPUs became healthy or stopped being.
    """

    def __init__(
        self, clock: Clock, health_changed: Callable[[str], None] = lambda _: None
    ) -> None:
        self._clock = clock
        self._nodes: dict[str, _Node] = {}
        self._health_changed = health_changed

    def take(self, node_id: str, batch: Batch) -> Readings | None:
        """Take in what a node measured. Never raises.

        Returns what was read of it, by the node's clock; None when it has no times.
        """
        node = self._nodes.get(node_id) or _Node()
        readings = node.decoder.decode(batch)
        if readings is None:
            return None
        self._nodes[node_id] = node
        ours = in_our_time(readings, self._clock.now())
        _take_readings(node, ours)
        node.processes = _processes(batch.gpu_processes)
        node.holders = _holders(batch.runs)
        node.batches += 1
        _drop_ended_runs(node, int(ours.times[-1]))
        before, node.unhealthy = node.unhealthy, _unhealthy(node)
        if node.unhealthy != before:
            self._health_changed(node_id)
        return readings

    def host(self, node_id: str) -> Values | None:
        """Of the machine; None before the first sample."""
        node = self._nodes.get(node_id)
        return node.host if node is not None and node.host.sampled_at else None

    def gpus(self, node_id: str) -> NewestGpus:
        """Of all GPUs of a node."""
        node = self._nodes.get(node_id)
        return _NO_GPUS if node is None else NewestGpus(node.gpus, node.processes, node.unhealthy)

    def gpu(self, node_id: str, uuid: str) -> Values | None:
        """Of a GPU; None before the first sample."""
        node = self._nodes.get(node_id)
        return None if node is None else node.gpus.get(uuid)

    def run(self, node_id: str, run_id: str) -> Values | None:
        """Of a run on a node; None when there is none."""
        node = self._nodes.get(node_id)
        return None if node is None else node.runs.get(run_id)

    def processes(self, node_id: str, uuid: str) -> Sequence[Process]:
        """What used a GPU when it was last looked at."""
        node = self._nodes.get(node_id)
        return () if node is None else node.processes.get(uuid, ())

    def holder(self, node_id: str, subject: str) -> Holder | None:
        """The run that a GPU's, or its own, newest values are of; None when none or several held it."""
        node = self._nodes.get(node_id)
        return None if node is None else node.holders.get(subject)

    def node_ids(self) -> list[str]:
        """Every node of which anything is known."""
        return list(self._nodes)

    def batches(self, node_id: str) -> int:
        """How many batches of a node were taken in; rises with each, 0 when nothing is known of it."""
        node = self._nodes.get(node_id)
        return 0 if node is None else node.batches

    def things(self, node_id: str) -> Iterator[tuple[str, Values]]:
        """All that is known of a node: of the machine by an empty text, of its GPUs, of its runs."""
        node = self._nodes.get(node_id)
        if node is not None:
            yield "", node.host
            yield from node.gpus.items()
            yield from node.runs.items()

    def is_healthy(self, node_id: str, uuid: str) -> bool:
        """Whether a GPU can be given to jobs, as far as its node has said."""
        return uuid not in self.unhealthy(node_id)

    def unhealthy(self, node_id: str) -> frozenset[str]:
        """The UUIDs of a node's GPUs that cannot be given to jobs, as far as it has said."""
        node = self._nodes.get(node_id)
        return frozenset() if node is None else node.unhealthy

    def keep_gpus(self, node_id: str, uuids: Iterable[str]) -> None:
        """Forget the GPUs that a node does not have any more."""
        node = self._nodes.get(node_id)
        if node is not None:
            for uuid in node.gpus.keys() - set(uuids):
                del node.gpus[uuid]
            node.unhealthy = _unhealthy(node)
            node.slots.clear()

    def drop(self, node_id: str) -> None:
        """Forget a node."""
        self._nodes.pop(node_id, None)


def _take_readings(node: _Node, readings: Readings) -> None:
    """Take in the last value of each column that is a number."""
    rows, times, slots = readings.rows, readings.times, _slots(node, readings.layout)
    if len(times) == 1 and np.isfinite(rows).all():
        at = int(times[0])
        for slot, value in zip(slots, rows[0].tolist(), strict=True):
            if slot is not None:
                slot[0].set(slot[1], value, at)
        return
    there = np.isfinite(rows)
    newest = np.where(there, np.arange(len(rows))[:, None], -1).max(axis=0, initial=-1)
    for column, row in enumerate(newest.tolist()):
        slot = slots[column]
        if slot is not None and row >= 0:
            slot[0].set(slot[1], float(rows[row, column]), int(times[row]))


def _slots(node: _Node, layout: Layout) -> Sequence[_Slot | None]:
    """Where the values of each column go: found once for a layout, until something is forgotten."""
    found = node.slots.get(id(layout))
    if found is None:
        if len(node.slots) >= _LAYOUTS:
            node.slots.clear()
        slots = [_slot(node, measured, subject) for measured, subject in layout.keys]
        found = node.slots[id(layout)] = (layout, slots)
    return found[1]


def _slot(node: _Node, measured: int, subject: str) -> _Slot | None:
    if not subject:
        return node.host, measured
    if LIVE_NAMES[measured].startswith("gpu_"):
        values = _bounded(node.gpus, subject, MAX_GPUS)
    else:
        values = _bounded(node.runs, subject, MAX_RUNS)
    return None if values is None else (values, measured)


def _bounded(things: dict[str, Values], subject: str, limit: int) -> Values | None:
    values = things.get(subject)
    if values is None and len(things) < limit:
        values = things[subject] = Values()
    return values


def _processes(samples: Sequence[GpuProcessSample]) -> dict[str, list[Process]]:
    found: dict[str, list[Process]] = {}
    for sample in samples[:MAX_PROCESSES]:
        if len(sample.gpu_uuid) > MAX_SUBJECT_CHARS or sample.pid < 0:
            continue
        process = Process(
            sample.pid,
            max(sample.memory_used_bytes, 0),
            sample.run_id if RUN_ID.fullmatch(sample.run_id) else "",
            sample.name[:MAX_SUBJECT_CHARS],
        )
        found.setdefault(sample.gpu_uuid, []).append(process)
    return found


def _holders(stamps: Sequence[RunStamp]) -> dict[str, Holder]:
    found: dict[str, Holder | None] = {}
    for stamp in stamps[:MAX_RUNS]:
        if RUN_ID.fullmatch(stamp.run_id):
            holder = Holder(stamp.run_id, stamp.job_id, stamp.project, stamp.rank)
            for subject in (stamp.run_id, *stamp.gpu_uuids):
                # What a card does that several share is no single one's.
                found[subject] = None if subject in found else holder
    return {subject: holder for subject, holder in found.items() if holder is not None}


def _drop_ended_runs(node: _Node, now: int) -> None:
    ended = [
        run_id for run_id, values in node.runs.items() if now - values.sampled_at > _RUN_MICROS
    ]
    for run_id in ended:
        del node.runs[run_id]
    if ended:
        node.slots.clear()


def _unhealthy(node: _Node) -> frozenset[str]:
    healthy = Series.GPU_HEALTHY
    return frozenset(
        uuid
        for uuid, values in node.gpus.items()
        if values.has(healthy) and values.number(healthy) < 1
    )
