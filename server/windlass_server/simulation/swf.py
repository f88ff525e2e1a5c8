"""Reads the Standard Workload Format (SWF, version 2.2), as the Parallel Workloads Archive has it.

A line is a job: 18 numbers with spaces between, -1 for what is not known. Lines that begin with `;` are
comments; those at the top say what the machine is. It is read as the archive's users mostly do: the
machine is one pool of processors, as there is no word of nodes, and a processor is a core. Where nodes are
given, a job that is larger than any of them takes as many of them as it needs, in equal parts.
"""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from windlass_server.scheduler.snapshot import Demand, NodeState
from windlass_server.simulation.clusters import node
from windlass_server.simulation.csv_jobs import MOST_JOBS, job_id, listed
from windlass_server.simulation.trace import TraceError
from windlass_server.simulation.workload import SECOND, TimedJob, Workload

_NAMES = (
    "job number", "submit time", "wait time", "run time", "allocated processors", "CPU time",
    "used memory", "requested processors", "requested time", "requested memory", "status", "user",
    "group", "executable", "queue", "partition", "preceding job", "think time",
)  # fmt: skip
_HEADER = re.compile(r";\s*(MaxProcs|MaxNodes)\s*:\s*(.*?)\s*(?:\(.*)?", re.IGNORECASE)
_MOST = 10**13
_MOST_PROCESSORS = 10**7
_MEMORY_OF_ALL = 1 << 60
# Parts of a job that was stopped and went on; the whole has a line of its own.
_PARTS = (2, 3, 4)


@dataclass(frozen=True, slots=True)
class _Line:
    """The numbers of a job by their names."""

    values: dict[str, float]

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def first_known(self, *names: str) -> float:
        """The first that is more than 0, else 0."""
        return next((self[name] for name in names if self[name] > 0), 0)


def read(file: Path, nodes: Sequence[NodeState] = ()) -> Workload:
    """The jobs of a log, and the machine that its header tells of unless there are other nodes.

    Raises:
        TraceError: the file cannot be read, or is not SWF: with all lines that are wrong, or the first
            twenty.
    """
    lines, wrong, header = list[_Line](), list[str](), dict[str, int]()
    with _opened(file) as text:
        for number, line in enumerate(text, 1):
            try:
                _take(line.strip(), lines, header)
            except ValueError as error:
                wrong.append(f"{file}, line {number}: {error}")
            if len(lines) > MOST_JOBS:
                raise TraceError(f"{file}: there are more than {MOST_JOBS} jobs")
    if wrong:
        raise TraceError(listed(wrong))
    notes = Counter[str]()
    largest = max((each.cpu_millis for each in nodes), default=0)
    jobs = [
        _parted(job, largest)
        for number, line in enumerate(lines)
        if (job := _job(line, number, notes))
    ]
    if not jobs:
        raise TraceError(f"{file}: there is no job that ran, so there is nothing to simulate")
    return Workload(
        tuple(nodes) or (_machine(file, header),),
        tuple(sorted(jobs, key=lambda job: (job.submitted_at, job.demand.order))),
        tuple(f"{count} {what}" for what, count in sorted(notes.items())),
    )


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    """The file as text; one that ends in `.gz` is unpacked on the way."""
    try:
        with (
            gzip.open(file, "rt", encoding="utf-8", errors="replace")
            if file.suffix == ".gz"
            else file.open(encoding="utf-8", errors="replace")
        ) as text:
            yield text
    except (OSError, EOFError, zlib.error) as error:
        what = getattr(error, "strerror", None) or error
        raise TraceError(f"{file}: {what}") from None


def _take(line: str, lines: list[_Line], header: dict[str, int]) -> None:
    """Add a job, or what the header says, if the line says any."""
    if line.startswith(";"):
        if (found := _HEADER.fullmatch(line)) is not None:
            name, value = found[1].lower(), found[2]
            if not (value.isascii() and value.isdecimal()) or not int(value[:9]):
                raise ValueError(f"{found[1]}: {value!r} is not a number from 1")
            header[name] = min(int(value[:9]), _MOST_PROCESSORS)
    elif line:
        lines.append(_Line(dict(zip(_NAMES, _numbers(line), strict=True))))


def _numbers(line: str) -> list[float]:
    cells = line.split()
    if len(cells) != len(_NAMES):
        raise ValueError(f"there are {len(cells)} fields instead of {len(_NAMES)}")
    found = []
    for name, cell in zip(_NAMES, cells, strict=True):
        try:
            value = float(cell)
        except ValueError:
            raise ValueError(f"{name}: {cell!r} is not a number") from None
        if not -1 <= value <= _MOST:  # nor is NaN
            raise ValueError(f"{name}: {cell} is neither a number from 0 nor -1 for unknown")
        found.append(value)
    if found[1] < 0:
        raise ValueError(f"{_NAMES[1]}: a job that was never submitted")
    return found


def _job(line: _Line, number: int, notes: Counter[str]) -> TimedJob | None:
    """The job of a line; None for one that cannot be played, which is noted."""
    processors = line.first_known("requested processors", "allocated processors")
    if line["status"] in _PARTS:
        notes["lines are parts of jobs that have a line as a whole: left out"] += 1
        return None
    if line["run time"] < 0 or (line["status"] == 5 and line["run time"] == 0):
        notes["jobs never ran in the log: left out"] += 1
        return None
    if not processors:
        notes["jobs do not say how many processors they took: left out"] += 1
        return None
    run_time, limit = round(line["run time"] * SECOND), round(line["requested time"] * SECOND)
    if 0 < limit < run_time:
        notes[
            "jobs ran longer in the log than they had asked for: their limit is what they ran"
        ] += 1
        limit = run_time
    identity = job_id(number)
    demand = Demand(
        job_id=identity,
        priority=0,
        cpu_millis=round(min(processors, _MOST_PROCESSORS) * 1000),
        memory_bytes=_memory(line, processors),
        gpu_count=0,
        gpu_type="",
        min_isolation=0,
        order=identity,
        project=_named("group", line["group"]) or "default",
        user=_named("user", line["user"]),
        time_limit=limit if limit > 0 else None,
        queue=_named("queue", line["queue"]),
    )
    name = _named("executable", line["executable"])
    submitted, wait = round(line["submit time"] * SECOND), round(line["wait time"] * SECOND)
    return TimedJob(demand, name, submitted, run_time, submitted + wait if wait >= 0 else None)


def _parted(job: TimedJob, largest: int) -> TimedJob:
    """The job on as many nodes as it needs, none of which has more CPU than the largest; 0: on one."""
    demand = job.demand
    nodes = -(-demand.cpu_millis // largest) if largest else 1
    if nodes == 1:
        return job
    each = replace(
        demand,
        cpu_millis=-(-demand.cpu_millis // nodes),
        memory_bytes=-(-demand.memory_bytes // nodes),
        nodes=nodes,
        min_nodes=nodes,
    )
    return replace(job, demand=each)


def _memory(line: _Line, processors: float) -> int:
    """What is asked for in all; it is given in KiB for each processor."""
    return round(min(line.first_known("requested memory") * 1024 * processors, _MEMORY_OF_ALL))


def _named(kind: str, number: float) -> str:
    return f"{kind}-{number:.0f}" if number >= 0 else ""


def _machine(file: Path, header: dict[str, int]) -> NodeState:
    processors = header.get("maxprocs") or header.get("maxnodes")
    if processors is None:
        raise TraceError(
            f"{file}: no header says MaxProcs or MaxNodes; --nodes or --cluster says what there is"
        )
    return node("machine", 0, "", processors * 1000, _MEMORY_OF_ALL)
