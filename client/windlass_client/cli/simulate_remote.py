"""`windlass simulate --on-server`: the server plays the jobs of a CSV file."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from windlass_client.cli.output import table
from windlass_client.cli.session import Session
from windlass_client.errors import InvalidArgument
from windlass_client.quantities import (
    format_span,
    parse_bytes,
    parse_cpu_millis,
    parse_duration,
)

if TYPE_CHECKING:
    from rich.table import Table

    from windlass.resources.v1 import resources_service_pb2, simulation_pb2

_NEEDED = ("submit_time", "run_time")
_PLAYED = (
    *_NEEDED, "time_limit", "gpus", "gpu_type", "cpu", "memory", "nodes", "project", "user", "queue",
    "priority",
)  # fmt: skip
# What the answer does not depend on.
_NOT_READ = ("name", "start_time", "id", "result", "min_nodes")
# What a server does not play, with what says the same as nothing.
_NOT_PLAYED = {
    "gpu_share": ("", "1"), "after": ("",), "start_after": ("", "0"), "exclusive": ("", "no"),
    "node_labels": ("",), "prefer_node_labels": ("",), "topology": ("",), "prefer_topology": ("",),
    "pool": ("",), "preemptible": ("", "yes"),
}  # fmt: skip
_MEMORY = 1 << 30
_CLUSTER = re.compile(r"([1-9][0-9]{0,3})x([1-9][0-9]?)x([A-Za-z0-9][A-Za-z0-9._-]{0,62})")
_CORES_BESIDE, _BYTES_BESIDE = 16_000, 128 << 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")


def simulate_on_server(
    session: Session, trace: Path, cluster: str | None, policies: Sequence[str]
) -> None:
    """Have a server play a file of jobs, on its own nodes or on made ones; print what came of it.

    Raises:
        InvalidArgument: the file or the nodes are not what they should be.
    """
    nodes = list(_nodes(cluster)) if cluster else []
    response = session.client.simulations.run(_jobs(trace), nodes, policies)
    session.answer(response, lambda: results_table(response))


def results_table(response: "resources_service_pb2.SimulateResponse") -> "Table":
    """A line for each policy."""
    made = table("POLICY", "FINISHED", "UNPLACED", "GIVEN OUT")
    for name in ("WAIT", "P99", "COMPLETION", "SLOWDOWN", "JAIN"):
        made.add_column(name, justify="right")
    for one in response.results:
        made.add_row(
            one.policy,
            str(one.finished),
            str(len(one.unplaced)),
            f"{one.allocation_percent:.1f}%",
            format_span(one.wait_seconds.mean),
            format_span(one.wait_seconds.p99),
            format_span(one.completion_seconds.mean),
            f"{one.bounded_slowdown.mean:.1f}",
            f"{one.jain_projects:.3f}",
        )
    return made


def _nodes(cluster: str) -> "Iterator[simulation_pb2.SimulatedNodes]":
    """Nodes such as `16x8xH100`, with 16 cores and 128 GiB beside each GPU."""
    from windlass.resources.v1 import simulation_pb2

    for word in cluster.split(","):
        match = _CLUSTER.fullmatch(word.strip())
        if match is None:
            message = f"{word.strip()!r} is not NODESxGPUSxTYPE, such as 16x8xH100"
            raise InvalidArgument(message, reason="BAD_CLUSTER")
        gpus = int(match[2])
        yield simulation_pb2.SimulatedNodes(
            count=int(match[1]),
            cpu_millis=gpus * _CORES_BESIDE,
            memory_bytes=gpus * _BYTES_BESIDE,
            gpu_count=gpus,
            gpu_type=match[3],
        )


def _jobs(trace: Path) -> "list[simulation_pb2.SimulatedJob]":
    """The jobs of a file; the first is submitted at the beginning."""
    rows = list(_rows(trace))
    if not rows:
        raise _bad(f"{trace}: there is no job")
    times = [_cell(trace, line, row, "submit_time", _moment, None) for line, row in rows]
    first = min(times)
    return [_job(trace, line, row, at - first) for (line, row), at in zip(rows, times, strict=True)]


def _rows(trace: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with trace.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            found = reader.fieldnames or ()
            absent = [name for name in _NEEDED if name not in found]
            strange = [name for name in found if name not in (*_PLAYED, *_NOT_READ, *_NOT_PLAYED)]
            if absent or strange:
                what = f"no column {absent[0]}" if absent else f"an unknown column {strange[0]!r}"
                raise _bad(f"{trace}: there is {what}; columns are {', '.join(_PLAYED)}")
            for row in reader:
                if None in row or None in row.values():
                    where = f"{trace}, line {reader.line_num}"
                    raise _bad(f"{where}: there are not as many cells as columns")
                for column, nothing in _NOT_PLAYED.items():
                    if row.get(column, "").strip() not in nothing:
                        where = f"{trace}, line {reader.line_num}"
                        raise _bad(f"{where}: {column}: that is not played on a server")
                yield reader.line_num, row
    except OSError as error:
        raise _bad(f"{trace}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise _bad(f"{trace}: this is no CSV in UTF-8: {error}") from None


def _job(
    trace: Path, line: int, row: dict[str, str], submitted: timedelta
) -> "simulation_pb2.SimulatedJob":
    from windlass.resources.v1 import simulation_pb2

    def cell(column: str, parse: Callable[[str], T], default: T | None) -> T:
        return _cell(trace, line, row, column, parse, default)

    limit = cell("time_limit", parse_duration, timedelta())
    # Several that will do stand as in `H100|A100`, the best first.
    types = [*dict.fromkeys(filter(None, map(str.strip, cell("gpu_type", str, "").split("|"))))]
    return simulation_pb2.SimulatedJob(
        submit_time=submitted,
        run_time=cell("run_time", parse_duration, None),
        time_limit=limit or None,
        cpu_millis=cell("cpu", parse_cpu_millis, 0),
        memory_bytes=cell("memory", parse_bytes, _MEMORY),
        gpu_count=cell("gpus", _whole, 0),
        gpu_type=types[0] if len(types) == 1 else "",
        gpu_types=types if len(types) > 1 else (),
        nodes=cell("nodes", _whole, 0),
        project=cell("project", str, ""),
        user=cell("user", str, ""),
        queue=cell("queue", str, ""),
        priority=cell("priority", _whole, 0),
    )


def _cell(
    trace: Path,
    line: int,
    row: dict[str, str],
    column: str,
    parse: Callable[[str], T],
    default: T | None,
) -> T:
    """What a cell says; the default where it is empty, and there is one."""
    text = row.get(column, "").strip()
    if not text and default is not None:
        return default
    try:
        return parse(text)
    except (InvalidArgument, ValueError) as error:
        raise _bad(f"{trace}, line {line}: {column}: {error}") from None


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,9}", text, re.ASCII):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _moment(text: str) -> timedelta:
    """Seconds since any start, or a time with its offset."""
    if "-" not in text and ":" not in text:
        return parse_duration(text)
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} does not say its offset from UTC, such as Z")
    return at - _EPOCH


def _bad(message: str) -> InvalidArgument:
    return InvalidArgument(message, reason="BAD_TRACE")
