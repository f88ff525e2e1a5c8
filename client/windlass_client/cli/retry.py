"""`windlass retry`."""

from typing import Annotated

import typer

from windlass_client.cli import logs
from windlass_client.cli.jobs import JobArgument
from windlass_client.cli.output import say
from windlass_client.cli.overrides import job_overrides
from windlass_client.cli.session import Session, command
from windlass_client.cli.submit import pairs, wait_for

_HELP = """Submit a job that has ended again, and print the new job's id.

It is what was submitted then, but for what is set otherwise here, and begins with the newest checkpoint.
Lists and messages are written as JSON; a field is named as in `windlass jobs get -o json`.

[bold]Examples:[/bold]

    windlass retry job-01k0… --reason "flaky disk"

    windlass retry job-01k0… --set resources.memory_bytes=64GiB --set time_limit=12h

    windlass retry job-01k0… -e LR=0.01 --set 'command=["python3","train.py"]' --from-scratch --follow"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "retry", help=_HELP)(retry)


def retry(
    session: Session,
    job_id: JobArgument,
    reason: Annotated[str, typer.Option(help="Why, for the events of both jobs.")] = "",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Otherwise than before; repeatable."),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="KEY=VALUE", help="Environment variable; repeatable."),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Not with the newest checkpoint.")
    ] = False,
    request_id: Annotated[
        str | None, typer.Option(help="Retrying again with the same id answers the same job.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait for the end; exit with the job's code.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print its log, then as --wait.")
    ] = False,
) -> None:
    """See `_HELP`."""
    job = session.client.jobs.retry(
        session.job(job_id),
        reason=reason,
        overrides=job_overrides(set_ or [], pairs(env or [], "--env")),
        from_scratch=from_scratch,
        request_id=request_id,
    )
    if follow:
        say(f"submitted {job.job_id}")
        logs.follow_to_end(session, job.job_id)
    elif wait:
        wait_for(session, job.job_id)
    else:
        session.answer(job, lambda: job.job_id)
