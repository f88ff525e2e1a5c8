"""Reads and writes jobs as CSV; docs/simulate.md has its columns."""

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TextIO

from windlass_server.scheduler.snapshot import Demand
from windlass_server.simulation import quantities
from windlass_server.simulation.rows import Row, rows
from windlass_server.simulation.trace import TraceError
from windlass_server.simulation.workload import SECOND, TimedJob

NEEDED = ("submit_time", "run_time")
COLUMNS = (
    *NEEDED, "start_time", "time_limit", "gpus", "gpu_type", "gpu_share", "cpu", "memory", "nodes",
    "project", "user", "name", "queue", "priority",
)  # fmt: skip
MOST_JOBS = 1_000_000

_MOST_GPUS = 1024
_MOST_NODES = 10_000
_MOST_PRIORITY = 1000
_MOST_TEXT = 128
_SHOWN = 20
_CPU_MILLIS = 1000
_MEMORY_BYTES = 1 << 30


def read(file: Path) -> tuple[TimedJob, ...]:
    """The jobs of a file, by the time of their submission, then by their lines.

    Raises:
        TraceError: the file cannot be read, or lines of it do not say what they should: all of them
            with their numbers, or the first twenty and how many there are.
    """
    found, wrong = list[TimedJob](), list[str]()
    for number, row in enumerate(rows(file, NEEDED, COLUMNS)):
        if number >= MOST_JOBS:
            raise TraceError(f"{file}: there are more than {MOST_JOBS} jobs")
        try:
            found.append(_job(row, number))
        except TraceError as error:
            wrong.append(str(error))
    if wrong:
        raise TraceError(listed(wrong))
    if not found:
        raise TraceError(f"{file}: there is no job, so there is nothing to simulate")
    return tuple(sorted(found, key=lambda job: (job.submitted_at, job.demand.order)))


def write(jobs: Iterable[TimedJob], file: TextIO) -> None:
    """Write jobs so that `read` gives them back, but for ids and what no column has."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for job in jobs:
        demand = job.demand
        limit = demand.time_limit
        writer.writerow(
            (
                _seconds(job.submitted_at),
                _seconds(job.run_time),
                "" if job.was_started_at is None else _seconds(job.was_started_at),
                "" if limit is None else _seconds(limit),
                demand.gpu_count,
                demand.gpu_type or "|".join(demand.gpu_types),
                f"{demand.gpu_millis / 1000:g}" if demand.gpu_millis else "",
                f"{demand.cpu_millis / 1000:g}",
                f"{demand.memory_bytes}B",
                demand.nodes,
                demand.project,
                demand.user,
                job.name,
                demand.queue,
                demand.priority,
            )
        )


def listed(wrong: Sequence[str]) -> str:
    """What is wrong with lines, a line each, the first twenty of them."""
    more = [f"and {len(wrong) - _SHOWN} more lines are wrong"] if len(wrong) > _SHOWN else []
    return "\n".join([*wrong[:_SHOWN], *more])


def job_id(number: int) -> str:
    """The id of the job at a place of its trace; ids sort as the places do."""
    return f"job-{number:07}"


def _job(row: Row, number: int) -> TimedJob:
    row.check()
    identity = job_id(number)
    gpus, share = _whole(row, "gpus", _MOST_GPUS), _share(row)
    if share and gpus > 1:
        raise row.error("gpu_share", f"a share is of one GPU, and the job takes {gpus}")
    named = _text(row, "gpu_type")
    if named and not gpus:
        raise row.error("gpu_type", f"the job takes no GPU, and names {named}")
    gpu_type, gpu_types = _types(named)
    if share and not gpus:
        raise row.error("gpu_share", "the job takes no GPU; write 1 in gpus")
    nodes = _whole(row, "nodes", _MOST_NODES, 1)
    if not nodes:
        raise row.error("nodes", "a job needs a node")
    if nodes > 1 and share:
        raise row.error("gpu_share", f"a share is of one GPU, and the job takes {nodes} nodes")
    limit = _cell(row, "time_limit", quantities.duration, 0)
    if row.text("time_limit") and not limit:
        raise row.error("time_limit", "a limit of 0 leaves no time; leave it empty for none")
    demand = Demand(
        job_id=identity,
        priority=_priority(row),
        cpu_millis=_cell(row, "cpu", quantities.cores, _CPU_MILLIS),
        memory_bytes=_cell(row, "memory", quantities.memory, _MEMORY_BYTES),
        gpu_count=gpus,
        gpu_type=gpu_type,
        gpu_types=gpu_types,
        min_isolation=0,
        order=identity,
        project=_text(row, "project") or "default",
        user=_text(row, "user"),
        time_limit=limit or None,
        gpu_millis=share,
        queue=_text(row, "queue") or "default",
        nodes=nodes,
        min_nodes=nodes,
    )
    submitted = _cell(row, "submit_time", quantities.moment, None)
    run_time = _cell(row, "run_time", quantities.duration, None)
    started = _cell(row, "start_time", quantities.moment, -1)
    if 0 <= started < submitted:
        raise row.error("start_time", "the job started before it was submitted")
    was_started_at = started if started >= 0 else None
    return TimedJob(demand, _text(row, "name"), submitted, run_time, was_started_at)


def _types(named: str) -> tuple[str, tuple[str, ...]]:
    """The one type that will do, or several in the order of wish."""
    words = [word.strip() for word in named.split("|")]
    several = tuple(dict.fromkeys(word for word in words if word))
    return ("", several) if len(several) > 1 else (several[0] if several else "", ())


def _cell(row: Row, column: str, parse: Callable[[str], int], default: int | None) -> int:
    """What a cell says; the default where it is empty, and there is one."""
    text = row.text(column)
    if not text and default is not None:
        return default
    try:
        return parse(text)
    except ValueError as error:
        raise row.error(column, str(error)) from None


def _whole(row: Row, column: str, at_most: int, default: int = 0) -> int:
    return row.number(column, at_most) if row.text(column) else default


def _share(row: Row) -> int:
    text = row.text("gpu_share")
    if not text:
        return 0
    try:
        millis = float(text) * 1000
    except ValueError:
        raise row.error("gpu_share", f"{text!r} is not a number") from None
    if not 1 <= millis <= 1000:  # nor is NaN
        raise row.error("gpu_share", f"{text} of a GPU; it is 0.001 to 1")
    return 0 if millis == 1000 else round(millis)


def _priority(row: Row) -> int:
    text = row.text("priority")
    try:
        value = int(text or "0") if len(text) <= 5 else None
    except ValueError:
        value = None
    if value is None or abs(value) > _MOST_PRIORITY:
        raise row.error(
            "priority", f"{text!r} is no whole number from {-_MOST_PRIORITY} to {_MOST_PRIORITY}"
        )
    return value


def _text(row: Row, column: str) -> str:
    text = row.text(column)
    if len(text) > _MOST_TEXT or not text.isprintable():
        raise row.error(column, f"text of at most {_MOST_TEXT} printable characters")
    return text


def _seconds(micros: int) -> str:
    whole, part = divmod(micros, SECOND)
    return f"{whole}.{part:06}".rstrip("0").rstrip(".") if part else str(whole)
