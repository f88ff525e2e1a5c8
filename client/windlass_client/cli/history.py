"""What a server has had, as the files that `windlass simulate` reads."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

if TYPE_CHECKING:
    from windlass.jobs.v1 import job_pb2
    from windlass.resources.v1 import node_pb2

_JOB = (
    "submit_time", "run_time", "start_time", "time_limit", "gpus", "gpu_type", "gpu_share", "cpu",
    "memory", "nodes", "project", "user", "name", "queue", "priority",
)  # fmt: skip
_NODE = ("name", "gpus", "gpu_type", "cpu", "memory", "sharers")
# What a request of 0 stands for.
_CPU_MILLIS, _MEMORY_BYTES = 1000, 256 << 20
# The default of `Job.grace_period`.
_GRACE_NANOS = 10 * 10**9
# As many as may share a card anywhere; which pool allows it is not looked at.
_SHARERS = 64


def write_jobs(jobs: Iterable["job_pb2.Job"], file: TextIO, now: datetime) -> Counter[str]:
    """Write jobs as CSV; how many were left out, and how many are otherwise than they were, by why."""
    writer, notes = csv.writer(file, lineterminator="\n"), Counter[str]()
    writer.writerow(_JOB)
    end_of_all = Timestamp()
    end_of_all.FromDatetime(now)
    for job in jobs:
        if not job.HasField("start_time"):
            notes["have not started: left out, as nobody knows how long they would take"] += 1
        elif job.resources.mig_profile or job.resources.gpu_memory_bytes:
            notes["took instances of divided cards: left out"] += 1
        else:
            if not job.HasField("end_time"):
                notes["still run: they count as done now"] += 1
            if job.attempt > 1:
                notes["ran more than once: they count from their last start"] += 1
            if job.exclusive_node or job.HasField("constraints"):
                notes["asked for nodes of their own or for labels: that is not minded"] += 1
            writer.writerow(_row(job, end_of_all))
    return notes


def _row(job: "job_pb2.Job", now: Timestamp) -> Iterator[object]:
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
    yield job.project
    yield job.user
    yield job.name
    yield job.queue
    yield job.priority


def _limit(job: "job_pb2.Job") -> str:
    """How long the job may hold its place at most, with the time that it has to end."""
    if not job.HasField("time_limit"):
        return ""
    grace = job.grace_period.ToNanoseconds() if job.HasField("grace_period") else _GRACE_NANOS
    limit: Duration = job.time_limit
    return _seconds(limit.ToNanoseconds() + grace)


def write_nodes(nodes: Iterable["node_pb2.Node"], file: TextIO) -> Counter[str]:
    """Write nodes as CSV; what of them is otherwise than it is, by why."""
    writer, notes = csv.writer(file, lineterminator="\n"), Counter[str]()
    writer.writerow(_NODE)
    for node in nodes:
        types = Counter(gpu.gpu_type for gpu in node.gpus)
        gpu_type, gpus = types.most_common(1)[0] if types else ("", 0)
        if len(types) > 1:
            notes[f"have GPUs of several types: of each only those of one, such as {gpu_type}"] += 1
        has = node.allocatable
        cpu, memory = f"{has.cpu_millis / 1000:.3f}", f"{has.memory_bytes}B"
        writer.writerow((node.node_id, gpus, gpu_type, cpu, memory, _SHARERS if gpus else 0))
    return notes


def _seconds(nanos: int) -> str:
    return f"{nanos // 10**9}.{nanos % 10**9 // 1000:06}"
