"""`windlass jobs act`: one thing done to many jobs."""

from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.actions import ReasonOption
from windlass_client.cli.session import EXIT_FAILED, Session, command
from windlass_client.cli.submit import pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.jobs.v1 import jobs_service_pb2

_HELP = """Do one thing to all jobs that `windlass jobs list` would show with the same options.

Each is done on its own: what cannot be done to one keeps none of the others from it.

[bold]Examples:[/bold]

    windlass jobs act cancel --label team=vision --status QUEUED --dry-run

    windlass jobs act suspend --user ada --status RUNNING --reason "the demo needs the GPUs"

    windlass jobs act retry --filter 'status = FAILED AND exit_code = 17'"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "act", help=_HELP)(act)


def act(
    session: Session,
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION",
            help="cancel, retry, hold, release, suspend or resume.",
            show_default=False,
        ),
    ],
    status: Annotated[
        list[str] | None, typer.Option("--status", "-s", help="Only this status; repeatable.")
    ] = None,
    queue: Annotated[str, typer.Option(help="Only this queue.")] = "",
    user: Annotated[str, typer.Option(help="Only of this principal.")] = "",
    name: Annotated[str, typer.Option("--name", "-n", help="Only of this name.")] = "",
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", metavar="KEY=VALUE", help="Only with it; repeatable."),
    ] = None,
    where: Annotated[
        str, typer.Option("--filter", metavar="AIP-160", help="Only where this holds.")
    ] = "",
    array: Annotated[
        str, typer.Option(metavar="JOB", help="The jobs of this array's indices instead.")
    ] = "",
    reason: ReasonOption = "",
    force: Annotated[bool, typer.Option("--force", help="With cancel: SIGKILL at once.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what would be.")
    ] = False,
) -> None:
    """See `_HELP`."""
    from windlass.jobs.v1 import jobs_service_pb2
    from windlass_client.jobs import parse_action, parse_status

    wanted, statuses = parse_action(action), [parse_status(word) for word in status or []]
    labels = pairs(label or [], "--label")

    def outcomes() -> "Iterator[jobs_service_pb2.JobOutcome]":
        token = ""
        while True:
            page = session.client.jobs.act_on_many(
                wanted,
                status=statuses,
                queue=queue,
                user=user,
                name=name,
                labels=labels,
                where=where,
                array_job_id=array,
                reason=reason,
                force=force,
                validate_only=dry_run,
                page_token=token,
            )
            yield from page.outcomes
            token = page.next_page_token
            if not token:
                return

    seen = session.each(
        outcomes(),
        _line,
        lambda found: jobs_service_pb2.UpdateJobStatusesResponse(
            outcomes=found,
            done_count=sum(not one.error_reason for one in found),
            refused_count=sum(bool(one.error_reason) for one in found),
        ),
    )
    raise typer.Exit(EXIT_FAILED if any(one.error_reason for one in seen) else 0)


def _line(outcome: "jobs_service_pb2.JobOutcome") -> str:
    from windlass.jobs.v1 import job_pb2

    name = job_pb2.Job.Status.Name
    if outcome.error_reason:
        return f"{outcome.job_id} {name(outcome.previous_status)}: {outcome.error_message}"
    new = f" {outcome.retry_job_id}" if outcome.retry_job_id else ""
    return f"{outcome.job_id} {name(outcome.previous_status)} ->{new} {name(outcome.status)}"
