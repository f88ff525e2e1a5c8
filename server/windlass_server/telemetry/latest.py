"""The newest values of every node, GPU and run, in memory.

Values are shown until newer ones come, however old: each comes with the time it was measured at.
What an agent sends is not trusted: what makes no sense is left out, and what one node can make the
server hold is bounded.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from windlass.agents.v1.agent_pb2 import GpuProcessSample, RunStamp, SampleBatch, Series

MAX_GPUS = 1024
MAX_RUNS = 4096
MAX_PROCESSES = 4096
MAX_TIMES = 4096
MAX_SUBJECT_CHARS = 128
_RUN_ID = re.compile(r"run-[0-9a-z]{26}")
_MAX_INT64 = (1 << 63) - 1
# The largest number of both kinds that an int64 holds.
_LARGEST = float(_MAX_INT64 >> 10 << 10)
_NANOS_PER_MICRO = 1000
# A run that its node has not measured for so long has ended.
_RUN_MICROS = 60_000_000

_MACHINE_FIELDS = frozenset(
    {
        Series.CPU_USED_MILLIS,
        Series.MEMORY_USED_BYTES,
        Series.MEMORY_TOTAL_BYTES,
        Series.LOAD_1M,
    }
)
_RUN_FIELDS = frozenset({Series.CPU_USED_MILLIS, Series.MEMORY_USED_BYTES})
_GPU_FIELDS = frozenset(
    {
        Series.GPU_TEMPERATURE_CELSIUS,
        Series.GPU_POWER_WATTS,
        Series.GPU_POWER_LIMIT_WATTS,
        Series.GPU_UTILIZATION_PERCENT,
        Series.GPU_MEMORY_USED_BYTES,
        Series.GPU_MEMORY_TOTAL_BYTES,
        Series.GPU_SM_CLOCK_MHZ,
        Series.GPU_MEMORY_CLOCK_MHZ,
        Series.GPU_HEALTHY,
        Series.GPU_MEMORY_TEMPERATURE_CELSIUS,
        Series.GPU_ENERGY_JOULES,
        Series.GPU_THROTTLE_REASONS,
    }
)


@dataclass(slots=True)
class Values:
    """The newest values of one thing.

    Attributes:
        sampled_at: when the newest of them was measured, in microseconds since 1970.
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

    def set(self, measured: Series.Field, value: float, at: int) -> None:
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


@dataclass(slots=True)
class _Node:
    batches: int = 0
    host: Values = field(default_factory=Values)
    gpus: dict[str, Values] = field(default_factory=dict)
    runs: dict[str, Values] = field(default_factory=dict)
    processes: Mapping[str, Sequence[Process]] = field(default_factory=lambda: MappingProxyType({}))
    holders: Mapping[str, Holder] = field(default_factory=lambda: MappingProxyType({}))


class LatestTelemetry:
    """The newest values of every node.

    Args:
        health_changed: called with a node's id when one of its GPUs became healthy or stopped being.
    """

    def __init__(self, health_changed: Callable[[str], None] = lambda _: None) -> None:
        self._nodes: dict[str, _Node] = {}
        self._health_changed = health_changed

    def take(self, node_id: str, batch: SampleBatch) -> None:
        """Take in what a node measured. Never raises."""
        times = _times(batch)
        if not times:
            return
        node = self._nodes.setdefault(node_id, _Node())
        before = _unhealthy(node)
        for series in batch.series:
            _take_series(node, series, times)
        node.processes = _processes(batch.gpu_processes)
        node.holders = _holders(batch.runs)
        node.batches += 1
        _drop_ended_runs(node, times[-1])
        if _unhealthy(node) != before:
            self._health_changed(node_id)

    def host(self, node_id: str) -> Values | None:
        """Of the machine; None before the first sample."""
        node = self._nodes.get(node_id)
        return node.host if node is not None and node.host.sampled_at else None

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

    def holder(self, node_id: str, uuid: str) -> Holder | None:
        """The run that a GPU's newest values are of; None when nothing held it."""
        node = self._nodes.get(node_id)
        return None if node is None else node.holders.get(uuid)

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
        values = self.gpu(node_id, uuid)
        return values is None or _is_healthy(values)

    def keep_gpus(self, node_id: str, uuids: Iterable[str]) -> None:
        """Forget the GPUs that a node does not have any more."""
        node = self._nodes.get(node_id)
        if node is not None:
            for uuid in node.gpus.keys() - set(uuids):
                del node.gpus[uuid]

    def drop(self, node_id: str) -> None:
        """Forget a node."""
        self._nodes.pop(node_id, None)


def _times(batch: SampleBatch) -> list[int]:
    """The batch's times in microseconds; none when they are not times at all."""
    deltas = batch.time_deltas_nanos
    if not 0 < len(deltas) <= MAX_TIMES:
        return []
    now = batch.base_time_nanos
    times = []
    for delta in deltas:
        now += delta
        if not 0 < now <= _MAX_INT64:
            return []
        times.append(now // _NANOS_PER_MICRO)
    return times


def _take_series(node: _Node, series: Series, times: Sequence[int]) -> None:
    """Take in the last value of a series that is a number."""
    if len(series.values) != len(times):
        return
    for value, at in zip(reversed(series.values), reversed(times), strict=True):
        if math.isfinite(value):
            values = _values_of(node, series)
            if values is not None:
                values.set(series.field, value, at)
            return


def _values_of(node: _Node, series: Series) -> Values | None:
    """Where the values of a series go; None for what cannot be measured of its subject."""
    subject = series.subject
    if not subject:
        return node.host if series.field in _MACHINE_FIELDS else None
    if len(subject) > MAX_SUBJECT_CHARS:
        return None
    if series.field in _GPU_FIELDS:
        return _bounded(node.gpus, subject, MAX_GPUS)
    if series.field in _RUN_FIELDS and _RUN_ID.fullmatch(subject):
        return _bounded(node.runs, subject, MAX_RUNS)
    return None


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
            sample.run_id if _RUN_ID.fullmatch(sample.run_id) else "",
            sample.name[:MAX_SUBJECT_CHARS],
        )
        found.setdefault(sample.gpu_uuid, []).append(process)
    return found


def _holders(stamps: Sequence[RunStamp]) -> dict[str, Holder]:
    found: dict[str, Holder] = {}
    for stamp in stamps[:MAX_RUNS]:
        if _RUN_ID.fullmatch(stamp.run_id):
            holder = Holder(stamp.run_id, stamp.job_id, stamp.project, stamp.rank)
            found |= dict.fromkeys(stamp.gpu_uuids, holder)
    return found


def _drop_ended_runs(node: _Node, now: int) -> None:
    ended = [
        run_id for run_id, values in node.runs.items() if now - values.sampled_at > _RUN_MICROS
    ]
    for run_id in ended:
        del node.runs[run_id]


def _is_healthy(values: Values) -> bool:
    return not values.has(Series.GPU_HEALTHY) or values.number(Series.GPU_HEALTHY) >= 1


def _unhealthy(node: _Node) -> list[str]:
    return sorted(uuid for uuid, values in node.gpus.items() if not _is_healthy(values))
