"""`windlass jobs show`."""

from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.forecasts import forecast_table
from windlass_client.cli.output import cell, console, moment, status_cell, table
from windlass_client.cli.session import Session, command

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from rich.console import Group
    from rich.table import Table

    from windlass.jobs.v1 import job_pb2

JobArgument = Annotated[str, typer.Argument(metavar="JOB", show_default=False)]


def register(app: typer.Typer, facts: "Callable[[job_pb2.Job, datetime], Table]") -> None:
    """Add the command; `facts` makes a table of what every view has."""

    @command(
        app,
        "show",
        examples=[
            "windlass jobs show job-01k0…",
            "windlass jobs show job-01k0… -o json | jq .cost",
        ],
    )
    def show(session: Session, job_id: JobArgument) -> None:
        """Show all that is known of a job: also what is so of it, its ranks, its cost, and when it may start."""
        import sys

        job = session.client.jobs.get(job_id, full=True)
        if session.json:
            session.answer(job, lambda: "")
            return
        console(sys.stdout).print(_all_of(job, facts(job, session.now())))


def _all_of(job: "job_pb2.Job", facts: "Table") -> "Group":
    from rich.console import Group

    for heading, value in (
        ("retried by", ", ".join(job.lineage.retries)),
        ("awaited by", ", ".join(job.lineage.dependents)),
        ("cost so far", _cost(job)),
    ):
        if value:
            facts.add_row(cell(heading, "bold"), cell(value))
    parts: list[Table | str] = [facts]
    if job.conditions:
        parts += ["", _conditions(job)]
    if job.ranks:
        parts += ["", _ranks(job)]
    if job.HasField("forecast"):
        parts += ["", forecast_table(job.forecast)]
    return Group(*parts)


def _cost(job: "job_pb2.Job") -> str:
    if not job.HasField("cost"):
        return ""
    cost = job.cost
    held = [
        (cost.gpu_seconds, "GPU s"),
        (cost.cpu_core_seconds, "core s"),
        (cost.memory_gib_seconds, "GiB s"),
    ]
    words = ", ".join(f"{float(amount):.1f} {unit}" for amount, unit in held if float(amount))
    more = " and what has no price" if cost.incomplete else ""
    price = f"{float(cost.cost):.4f} {cost.currency}{more} for " if cost.currency else ""
    return f"{price}{words}"


def _conditions(job: "job_pb2.Job") -> "Table":
    from windlass.jobs.v1 import job_view_pb2

    kind = job_view_pb2.JobCondition
    made = table("CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE")
    for one in job.conditions:
        made.add_row(
            cell(kind.Type.Name(one.type)),
            cell(kind.Status.Name(one.status)),
            cell(moment(one.time) if one.HasField("time") else ""),
            cell(one.reason),
            cell(one.message),
        )
    return made


def _ranks(job: "job_pb2.Job") -> "Table":
    from windlass.jobs.v1 import job_view_pb2

    made = table("RANK", "STATE", "NODE", "RUN", "STARTED", "ENDED", "BY")
    for one in job.ranks:
        made.add_row(
            cell(one.rank),
            status_cell(job_view_pb2.JobRank.State.Name(one.state)),
            cell(one.node_id),
            cell(one.run_id),
            cell(moment(one.start_time) if one.HasField("start_time") else ""),
            cell(moment(one.end_time) if one.HasField("end_time") else ""),
            cell(one.end_cause),
        )
    return made
