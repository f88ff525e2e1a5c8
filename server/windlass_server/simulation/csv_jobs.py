"""Reads and writes jobs as CSV; docs/simulate.md has its columns."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TextIO, TypeVar

from windlass_server.scheduler.snapshot import Demand, LabelRule, Topology
from windlass_server.simulation import cells, quantities
from windlass_server.simulation.rows import Row, rows
from windlass_server.simulation.trace import TraceError
from windlass_server.simulation.workload import SECOND, TimedJob

NEEDED = ("submit_time", "run_time")
COLUMNS = (
    *NEEDED, "start_time", "time_limit", "gpus", "gpu_type", "gpu_share", "cpu", "memory", "nodes",
    "min_nodes", "project", "user", "name", "queue", "priority", "id", "after", "start_after", "result",
    "exclusive", "node_labels", "prefer_node_labels", "topology", "prefer_topology", "pool",
    "preemptible",
)  # fmt: skip
MOST_JOBS = 1_000_000

_MOST_GPUS = 1024
_MOST_NODES = 10_000
_MOST_PRIORITY = 1000
_MOST_TEXT = 128
_SHOWN = 20
_CPU_MILLIS = 1000
_RESULTS = ("succeeded", "failed")
_NO_RULES: tuple[LabelRule, ...] = ()
_MEMORY_BYTES = 1 << 30

T = TypeVar("T")


def read(file: Path) -> tuple[TimedJob, ...]:
    """The jobs of a file, by the time of their submission, then by their lines.

    Raises:
        TraceError: the file cannot be read, or lines of it do not say what they should: all of them
            with their numbers, or the first twenty and how many there are.
    """
    found, wrong = list[TimedJob](), list[str]()
    ids: dict[str, tuple[int, int]] = {}
    for number, row in enumerate(rows(file, NEEDED, COLUMNS)):
        if number >= MOST_JOBS:
            raise TraceError(f"{file}: there are more than {MOST_JOBS} jobs")
        try:
            found.append(_job(row, number))
            named = _text(row, "id")
            if named and ids.setdefault(named, (number, row.line)) != (number, row.line):
                raise row.error("id", f"line {ids[named][1]} has the same")
        except TraceError as error:
            wrong.append(str(error))
    if not wrong:
        found, wrong = _resolved(found, ids, file)
    if wrong:
        raise TraceError(listed(wrong))
    if not found:
        raise TraceError(f"{file}: there is no job, so there is nothing to simulate")
    return tuple(sorted(found, key=lambda job: (job.submitted_at, job.demand.order)))


def _resolved(
    jobs: Sequence[TimedJob], ids: Mapping[str, tuple[int, int]], file: Path
) -> tuple[list[TimedJob], list[str]]:
    """The jobs with the ids that they have here in `after`, and what is wrong with these.

    Args:
        jobs: as they stand in the file.
        ids: by the file's own ids, the number of the job and its line.
        file: where they stand.
    """
    found, wrong = list[TimedJob](), list[str]()
    lines = dict(ids.values())
    for number, job in enumerate(jobs):
        after = list[tuple[int, str]]()
        for kind, named in job.after:
            other = ids.get(named)
            if other is None or _turn(jobs[other[0]]) >= _turn(job):
                what = "which there is not" if other is None else "which does not come before it"
                line = f", line {lines[number]}" if number in lines else f", job {number + 1}"
                wrong.append(f"{file}{line}: after: it waits for {named}, {what}")
            else:
                after.append((kind, job_id(other[0])))
        found.append(replace(job, after=tuple(after)) if after else job)
    return found, wrong


def _turn(job: TimedJob) -> tuple[int, str]:
    return job.submitted_at, job.demand.order


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
                demand.min_nodes,
                demand.project,
                demand.user,
                job.name,
                demand.queue,
                demand.priority,
                demand.job_id,
                cells.dependency_text(job.after),
                _seconds(job.start_after) if job.start_after else "",
                "failed" if job.fails else "",
                "yes" if demand.exclusive else "",
                cells.label_text(demand.labels, preferred=False),
                cells.label_text(demand.labels, preferred=True),
                cells.level_text(demand.topology.required),
                cells.level_text(demand.topology.preferred),
                "|".join(demand.pools or ()),
                "" if job.preemptible else "no",
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
    gpus, share = _gpus(row)
    gpu_type, gpu_types = _types(_text(row, "gpu_type"))
    nodes = _whole(row, "nodes", _MOST_NODES, 1)
    if not nodes:
        raise row.error("nodes", "a job needs a node")
    if nodes > 1 and share:
        raise row.error("gpu_share", f"a share is of one GPU, and the job takes {nodes} nodes")
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
        time_limit=_limit(row),
        gpu_millis=share,
        queue=_text(row, "queue") or "default",
        nodes=nodes,
        min_nodes=_min_nodes(row, nodes),
        pools=_cell(row, "pool", cells.pools, tuple[str, ...]()) or None,
        labels=(
            *_cell(row, "node_labels", cells.label_rules, _NO_RULES),
            *_cell(
                row, "prefer_node_labels", partial(cells.label_rules, preferred=True), _NO_RULES
            ),
        ),
        topology=_topology(row),
        exclusive=_exclusive(row, share),
    )
    submitted = _cell(row, "submit_time", quantities.moment)
    started = _cell(row, "start_time", quantities.moment, -1)
    if 0 <= started < submitted:
        raise row.error("start_time", "the job started before it was submitted")
    return TimedJob(
        demand,
        _text(row, "name"),
        submitted,
        _cell(row, "run_time", quantities.duration),
        started if started >= 0 else None,
        after=_cell(row, "after", cells.dependencies, ()),
        start_after=_cell(row, "start_after", quantities.moment, 0),
        fails=_cell(row, "result", _fails, False),
        preemptible=_cell(row, "preemptible", cells.flag, True),
    )


def _gpus(row: Row) -> tuple[int, int]:
    """How many GPUs, or a share of one in thousandths."""
    gpus, share = _whole(row, "gpus", _MOST_GPUS), _share(row)
    if share and gpus > 1:
        raise row.error("gpu_share", f"a share is of one GPU, and the job takes {gpus}")
    named = _text(row, "gpu_type")
    if named and not gpus:
        raise row.error("gpu_type", f"the job takes no GPU, and names {named}")
    if share and not gpus:
        raise row.error("gpu_share", "the job takes no GPU; write 1 in gpus")
    return gpus, share


def _limit(row: Row) -> int | None:
    limit = _cell(row, "time_limit", quantities.duration, 0)
    if row.text("time_limit") and not limit:
        raise row.error("time_limit", "a limit of 0 leaves no time; leave it empty for none")
    return limit or None


def _min_nodes(row: Row, nodes: int) -> int:
    least = _whole(row, "min_nodes", _MOST_NODES, nodes)
    if not 0 < least <= nodes:
        raise row.error("min_nodes", f"{least} is not from 1 to the {nodes} of nodes")
    return least


def _topology(row: Row) -> Topology:
    required = _cell(row, "topology", cells.level, 0)
    preferred = _cell(row, "prefer_topology", cells.level, 0)
    if required and preferred and preferred >= required:
        raise row.error("prefer_topology", "it is not narrower than topology")
    return Topology(required, preferred)


def _exclusive(row: Row, share: int) -> bool:
    alone = _cell(row, "exclusive", cells.flag, False)
    if alone and share:
        raise row.error("exclusive", "a job that has its node alone takes whole GPUs")
    return alone


def _fails(text: str) -> bool:
    if text.lower() not in _RESULTS:
        raise ValueError(f"{text!r} is neither {' nor '.join(_RESULTS)}")
    return text.lower() == _RESULTS[1]


def _types(named: str) -> tuple[str, tuple[str, ...]]:
    """The one type that will do, or several in the order of wish."""
    words = [word.strip() for word in named.split("|")]
    several = tuple(dict.fromkeys(word for word in words if word))
    return ("", several) if len(several) > 1 else (several[0] if several else "", ())


def _cell(row: Row, column: str, parse: Callable[[str], T], default: T | None = None) -> T:
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
