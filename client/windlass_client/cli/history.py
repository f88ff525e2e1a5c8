"""What a server has had, as the files that `windlass simulate` reads."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

if TYPE_CHECKING:
    from windlass.jobs.v1 import job_pb2
    from windlass.resources.v1 import node_pb2, pool_pb2

_JOB = (
    "submit_time", "run_time", "start_time", "time_limit", "gpus", "gpu_type", "gpu_share", "cpu",
    "memory", "nodes", "min_nodes", "project", "user", "name", "queue", "priority", "id", "after",
    "start_after", "result", "exclusive", "node_labels", "prefer_node_labels", "topology",
    "prefer_topology", "pool", "preemptible",
)  # fmt: skip
_NODE = ("name", "gpus", "gpu_type", "cpu", "memory", "sharers", "pool", "cluster", "labels")
# What a request of 0 stands for.
_CPU_MILLIS, _MEMORY_BYTES = 1000, 256 << 20
# The default of `Job.grace_period`.
_GRACE_NANOS = 10 * 10**9
# As many as may share a card where a pool says no number.
_SHARERS = 64
_KINDS = ("AFTER", "AFTER_OK", "AFTER_NOT_OK", "AFTER_ANY")
_OTHERWISE = ("FAILED", "OUT_OF_MEMORY", "CANCELLED")
_SIGNS = {"IN": "=", "NOT_IN": "!="}


def write_jobs(
    jobs: Iterable["job_pb2.Job"],
    file: TextIO,
    now: datetime,
    pools: Sequence["pool_pb2.Pool"] = (),
) -> Counter[str]:
    """Write jobs as CSV; how many were left out, and how many are otherwise than they were, by why.

    Args:
        jobs: in any order.
        file: where to.
        now: until when those ran that still run.
        pools: all that there are.
    """
    writer, notes = csv.writer(file, lineterminator="\n"), Counter[str]()
    writer.writerow(_JOB)
    end_of_all = Timestamp()
    end_of_all.FromDatetime(now)
    played = [job for job in jobs if _is_played(job, notes)]
    played.sort(key=lambda job: (job.create_time.ToNanoseconds(), job.job_id))
    known: set[str] = set()
    for job in played:
        if not job.HasField("end_time"):
            notes["still run: they count as done now"] += 1
        if job.attempt > 1:
            notes["ran more than once: they count from their last start"] += 1
        for what in _not_played(job):
            notes[f"{what}: that is not played"] += 1
        if any(one.job_id not in known for one in job.dependencies):
            notes["waited for others that are not among these: they do not here"] += 1
        writer.writerow(_row(job, end_of_all, known, pools))
        known.add(job.job_id)
    return notes


def _is_played(job: "job_pb2.Job", notes: Counter[str]) -> bool:
    if not job.HasField("start_time"):
        notes["have not started: left out, as nobody knows how long they would take"] += 1
        return False
    if job.resources.mig_profile or job.resources.gpu_memory_bytes:
        notes["took instances of divided cards: left out"] += 1
        return False
    if job.resources.gpu_millis and job.nodes > 1:
        notes["took shares of GPUs on several nodes: left out"] += 1
        return False
    return True


def _not_played(job: "job_pb2.Job") -> Iterator[str]:
    """What a job asked for besides that the trace has no column for."""
    if any(map(_is_within_a_node, (job.topology.required, job.topology.preferred))):
        yield "asked for GPUs that are joined, or for one node"
    if job.HasField("spread"):
        yield "were kept apart from others"
    if job.reservation_id:
        yield "named a reservation"


def _is_within_a_node(level: int) -> bool:
    from windlass.types.v1.topology_pb2 import Topology

    return level in (Topology.NVLINK, Topology.NODE)


def _row(
    job: "job_pb2.Job", now: Timestamp, known: set[str], pools: Sequence["pool_pb2.Pool"]
) -> Iterator[object]:
    asked = job.resources
    submitted, started = job.create_time.ToNanoseconds(), job.start_time.ToNanoseconds()
    ended = (job.end_time if job.HasField("end_time") else now).ToNanoseconds()
    yield _seconds(submitted)
    yield _seconds(max(ended - started, 0))
    yield _seconds(max(started, submitted))
    yield _limit(job)
    yield max(asked.gpu_count, 1) if asked.gpu_millis else asked.gpu_count
    yield asked.gpu_type or "|".join(job.gpu_types)
    yield f"{asked.gpu_millis / 1000:g}" if asked.gpu_millis else ""
    yield f"{(asked.cpu_millis or _CPU_MILLIS) / 1000:.3f}"
    yield f"{asked.memory_bytes or _MEMORY_BYTES}B"
    yield max(job.nodes, 1)
    yield job.min_nodes or ""
    yield job.project
    yield job.user
    yield job.name
    yield job.queue
    yield job.priority
    yield job.job_id
    yield "; ".join(_dependencies(job, known))
    yield _seconds(job.start_after.ToNanoseconds()) if job.HasField("start_after") else ""
    yield "failed" if job.Status.Name(job.status) in _OTHERWISE else ""
    yield "yes" if job.exclusive_node else ""
    for preferred in (False, True):
        rules = (one for one in job.constraints.node_labels if one.preferred == preferred)
        yield "; ".join(_words(rule) for rule in rules)
    for level in (job.topology.required, job.topology.preferred):
        told = level and not _is_within_a_node(level)
        yield job.topology.Level.Name(level).lower() if told else ""
    yield "|".join(_pools(job, pools))
    yield "no" if job.HasField("preemptible") and not job.preemptible else ""


def _dependencies(job: "job_pb2.Job", known: set[str]) -> Iterator[str]:
    """Those of its dependencies that can be played."""
    for one in job.dependencies:
        kind = one.Type.Name(one.type)
        if one.job_id in known and kind in _KINDS:
            yield f"{kind.lower()}:{one.job_id}"


def _words(rule: "job_pb2.NodeLabelRule") -> str:
    test = rule.Operator.Name(rule.operator)
    if test in _SIGNS:
        return f"{rule.key}{_SIGNS[test]}{','.join(rule.values)}"
    return rule.key if test == "EXISTS" else f"!{rule.key}"


def _pools(job: "job_pb2.Job", pools: Sequence["pool_pb2.Pool"]) -> Sequence[str]:
    """On the nodes of which pools it may be; none: of any."""
    if job.pool:
        return (job.pool,)
    closed = {
        pool.pool_id
        for pool in pools
        if pool.allowed_projects and job.project not in pool.allowed_projects
    }
    return sorted({pool.pool_id for pool in pools} - closed) if closed else ()


def _limit(job: "job_pb2.Job") -> str:
    """How long the job may hold its place at most, with the time that it has to end."""
    if not job.HasField("time_limit"):
        return ""
    grace = job.grace_period.ToNanoseconds() if job.HasField("grace_period") else _GRACE_NANOS
    limit: Duration = job.time_limit
    return _seconds(limit.ToNanoseconds() + grace)


def write_nodes(
    nodes: Iterable["node_pb2.Node"], file: TextIO, pools: Sequence["pool_pb2.Pool"] = ()
) -> Counter[str]:
    """Write nodes as CSV; what of them is otherwise than it is, by why."""
    writer, notes = csv.writer(file, lineterminator="\n"), Counter[str]()
    writer.writerow(_NODE)
    sharers = {pool.pool_id: _sharers(pool) for pool in pools}
    for node in nodes:
        types = Counter(gpu.gpu_type for gpu in node.gpus)
        gpu_type, gpus = types.most_common(1)[0] if types else ("", 0)
        if len(types) > 1:
            notes[f"have GPUs of several types: of each only those of one, such as {gpu_type}"] += 1
        has = node.allocatable
        cpu, memory = f"{has.cpu_millis / 1000:.3f}", f"{has.memory_bytes}B"
        shared_by = sharers.get(node.pool_id, 0) if gpus else 0
        writer.writerow(
            (
                *(node.node_id, gpus, gpu_type, cpu, memory, shared_by, node.pool_id, node.cluster),
                "; ".join(f"{key}={value}" for key, value in _plain(node.labels)),
            )
        )
    return notes


def _plain(labels: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """Labels that can be written in one cell; hardly any cannot."""
    return sorted((key, value) for key, value in labels.items() if ";" not in value)


def _sharers(pool: "pool_pb2.Pool") -> int:
    """How many jobs may share one of its GPUs."""
    return (pool.sharing.max_jobs_per_gpu or _SHARERS) if pool.sharing.enabled else 0


def _seconds(nanos: int) -> str:
    return f"{nanos // 10**9}.{nanos % 10**9 // 1000:06}"
