"""`windlass jobs array`: the indices of an array, as a picture or a table."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.output import (
    STATUS_STYLES,
    cell,
    console,
    moment,
    status_cell,
    table,
)
from windlass_client.cli.session import Session, command

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from windlass.jobs.v1 import job_array_indices_pb2, job_array_pb2, job_pb2

    Index = job_array_indices_pb2.ArrayIndex

_HELP = """Show the indices of an array: how far it is, as a picture, and what has failed.

[bold]Examples:[/bold]

    windlass jobs array job-01k0…

    windlass jobs array job-01k0… --status FAILED          [dim]# a line for each of them[/dim]

    windlass jobs array job-01k0… -o json | jq '.indices[] | select(.exit_code == 17) | .index'

    windlass jobs array job-01k0… --parallel 100           [dim]# run so many at once from now on[/dim]

    windlass logs job-01k0…/17 -f                          [dim]# the log of one index[/dim]"""

_MOST = 100_000
_WIDTH = 50
_ROWS = 20
# What an index is shown as; of several that share a cell, the first of these that one of them is.
GLYPHS: Mapping[str, str] = {
    "FAILED": "x",
    "OUT_OF_MEMORY": "m",
    "TIMED_OUT": "t",
    "DEADLINE_EXCEEDED": "d",
    "CANCELLED": "-",
    "CANCELLING": "~",
    "SUSPENDING": "~",
    "SUSPENDED": "=",
    "RUNNING": "▶",
    "SCHEDULED": "○",
    "QUEUED": "·",
    "SUCCEEDED": "■",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "array", help=_HELP)(array)


def array(
    session: Session,
    job_id: Annotated[str, typer.Argument(metavar="JOB", show_default=False)],
    status: Annotated[
        list[str] | None,
        typer.Option("--status", "-s", help="List indices of this status; repeatable."),
    ] = None,
    index: Annotated[
        int | None, typer.Option(min=0, max=_MOST - 1, help="List this index alone.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, max=_MOST, help="Of a list, at most so many; 0 lists all.")
    ] = 0,
    parallel: Annotated[
        int | None,
        typer.Option(min=0, max=_MOST, help="Let so many run at once from now on; 0: any number."),
    ] = None,
) -> None:
    """See `_HELP`."""
    from windlass.jobs.v1 import job_array_indices_pb2
    from windlass_client.jobs import parse_status

    calls = session.client.jobs
    if parallel is not None:
        calls.set_array_parallel(job_id, parallel)
    found = calls.array_indices(
        job_id,
        status=[parse_status(word) for word in status or []],
        index=index,
        page_size=min(limit or 1000, 1000),
    )
    indices = list(islice(found, limit) if limit else found)
    job = calls.get(job_id)
    page = job_array_indices_pb2.ListJobArrayIndicesResponse(
        indices=indices, array_status=job.array_status
    )
    if status or index is not None or limit:
        nothing = "" if indices else "no such indices"
        session.answer(page, lambda: indices_table(indices), nothing=nothing)
    elif session.json:
        session.answer(page, lambda: "")
    else:
        import sys

        console(sys.stdout).print(picture(job, indices))


def indices_table(indices: "Sequence[Index]") -> "Table":
    """A line for each index."""
    from windlass.jobs.v1 import job_pb2

    made = table("INDEX", "STATUS", "JOB", "EXIT", "STARTED", "WHY", right=["EXIT"])
    for one in indices:
        code = str(one.exit_code) if one.HasField("exit_code") else ""
        code = f"signal {one.exit_signal}" if one.HasField("exit_signal") else code
        made.add_row(
            cell(one.index),
            status_cell(job_pb2.Job.Status.Name(one.status)),
            cell(one.job_id),
            cell(code),
            cell(moment(one.start_time) if one.HasField("start_time") else ""),
            cell(one.status_reason, "dim"),
        )
    return made


def counts_of(status: "job_array_pb2.ArrayStatus") -> dict[str, int]:
    """How many indices are in which status, of those of which there are some."""
    named = {name: getattr(status, f"{name.lower()}_count") for name in reversed([*GLYPHS])}
    return {name: count for name, count in named.items() if count}


def ended(status: "job_array_pb2.ArrayStatus") -> int:
    """How many indices have ended, however."""
    return sum(count for name, count in counts_of(status).items() if name in _ENDED)


def picture(job: "job_pb2.Job", indices: "Sequence[Index]") -> "Group":
    """How far an array is: a bar, a cell for each index or for several, and the first that failed."""
    from rich.console import Group
    from rich.text import Text

    from windlass.jobs.v1 import job_pb2

    name = job_pb2.Job.Status.Name
    head = Text.assemble(
        cell(f"{job.job_id} {job.name} "),
        status_cell(name(job.status)),
        cell(f"  {job.status_message}"),
    )
    statuses = [name(one.status) for one in indices]
    parts: list[Text | Table] = [head, _bar(job.array_status), Text(), *_grid(indices, statuses)]
    lost = [
        one for one, status in zip(indices, statuses, strict=True) if STATUS_STYLES[status] == "red"
    ]
    if lost:
        parts += [Text(), indices_table(lost[:10])]
    if len(lost) > 10:
        parts.append(Text(f"and {len(lost) - 10} more: --status FAILED lists them", style="dim"))
    return Group(*parts)


def _bar(status: "job_array_pb2.ArrayStatus") -> "Text":
    """What part of all indices is in which status, and the numbers."""
    from rich.text import Text

    made, shown = Text(), 0
    counts = counts_of(status)
    done, total = 0, max(status.total_count, 1)
    for name, count in counts.items():
        done += count
        # Whatever there is of, however little, is seen.
        width = max(1, round(done * _WIDTH / total) - shown)
        made.append(GLYPHS[name] * width, style=STATUS_STYLES[name])
        shown += width
    for name, count in counts.items():
        made.append(f"  {count} {name}", style=STATUS_STYLES[name])
    if status.parallel:
        made.append(f"  of {status.total_count}, at most {status.parallel} at once", style="dim")
    else:
        made.append(f"  of {status.total_count}", style="dim")
    return made


def _grid(indices: "Sequence[Index]", statuses: Sequence[str]) -> "Iterator[Text]":
    """Lines of cells, each with the first index of its line before it."""
    from rich.text import Text

    per_cell = max(1, -(-len(indices) // (_WIDTH * _ROWS)))
    width = len(str(indices[-1].index)) if indices else 1
    for first in range(0, len(indices), _WIDTH * per_cell):
        line = Text(f"{indices[first].index:>{width}} ", style="dim")
        for begin in range(first, min(first + _WIDTH * per_cell, len(indices)), per_cell):
            worst = _worst(statuses[begin : begin + per_cell])
            line.append(GLYPHS[worst], style=STATUS_STYLES[worst])
        yield line
    if per_cell > 1:
        yield Text(f"each cell is {per_cell} indices, and shows the worst of them", style="dim")


def _worst(statuses: Sequence[str]) -> str:
    there = set(statuses)
    return next(name for name in GLYPHS if name in there)


@contextmanager
def progress() -> "Iterator[Callable[[job_pb2.Job], None]]":
    """Shows how far an array is whose changes it is told; of other jobs, and beside a terminal, nothing."""
    import os

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    shown = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}", markup=False),
        console=Console(stderr=True),
        disable=not os.isatty(2),
        transient=True,
    )
    with shown:
        tasks = {}

        def tell(job: "job_pb2.Job") -> None:
            if not job.HasField("array_status"):
                return
            status = job.array_status
            counts = counts_of(status)
            if job.job_id not in tasks:
                tasks[job.job_id] = shown.add_task(job.job_id, total=status.total_count, counts="")
            words = ", ".join(f"{count} {name}" for name, count in counts.items())
            shown.update(tasks[job.job_id], completed=ended(status), counts=words)

        yield tell


_ENDED = ("FAILED", "OUT_OF_MEMORY", "TIMED_OUT", "DEADLINE_EXCEEDED", "CANCELLED", "SUCCEEDED")
