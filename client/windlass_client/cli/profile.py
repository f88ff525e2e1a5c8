"""`windlass jobs profile`: a flame graph of what a task does now."""

from pathlib import Path
from typing import Annotated

import typer

from windlass_client.cli.files import write_file
from windlass_client.cli.output import say
from windlass_client.cli.session import Session, command
from windlass_client.quantities import parse_duration

_HELP = """Look into a running task of Python for a while and write what it does as a flame graph.

The task needs nothing for it, and is not stopped.

[bold]Examples:[/bold]

    windlass jobs profile job-01k5 --to flame.svg

    windlass jobs profile job-01k5 --rank 3 --duration 30s --format speedscope"""

_ENDINGS = {"FLAMEGRAPH": "svg", "SPEEDSCOPE": "speedscope.json", "RAW": "txt"}


def register(jobs: typer.Typer) -> None:
    """Add the command."""
    command(jobs, "profile", help=_HELP)(profile)


def profile(
    session: Session,
    job_id: Annotated[str, typer.Argument(metavar="JOB", show_default=False)],
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to; by default JOB-RANK.svg, `-` is the output.",
            show_default=False,
        ),
    ] = None,
    rank: Annotated[int, typer.Option(min=0, help="Which of its tasks.")] = 0,
    duration: Annotated[str, typer.Option(help="For how long, 1s to 60s.")] = "10s",
    kind: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="flamegraph (SVG), speedscope (JSON) or raw (text)."
        ),
    ] = "flamegraph",
) -> None:
    """See `_HELP`."""
    seconds = parse_duration(duration)
    data = session.client.jobs.profile(job_id, rank=rank, duration=seconds, format=kind)
    name = str(to) if to else f"{job_id}-{rank}.{_ENDINGS.get(kind.upper(), 'svg')}"
    write_file(name, iter([data]))
    if name != "-":
        say(f"written to {name}")
