"""What is done to jobs by their ids: `cancel`, `hold`, `release`, `suspend`, `resume`, each also below `windlass jobs`."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.jobs import JobsArgument
from windlass_client.cli.output import say
from windlass_client.cli.session import Session, command, exit_code_of, render_error
from windlass_client.errors import WindlassError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.jobs.v1 import job_pb2

ReasonOption = Annotated[str, typer.Option(help="Why, for the job's events.")]


def register(app: typer.Typer, jobs: typer.Typer) -> None:
    """Add the commands."""
    for group, words in ((app, "windlass"), (jobs, "windlass jobs")):
        examples = [
            f"{words} cancel job-01k0… job-01k1… --reason 'wrong data'",
            f"{words} cancel job-01k0… --force",
        ]
        command(group, "cancel", examples=examples)(cancel)
        examples = [f"{words} hold job-01k0… --reason 'the data is not there yet'"]
        command(group, "hold", examples=examples)(hold)
        command(group, "release", examples=[f"{words} release job-01k0… job-01k1…"])(release)
        examples = [
            f"{words} suspend job-01k0… --reason 'the demo needs its GPUs'",
            f"{words} suspend job-01k0… --freeze",
        ]
        command(group, "suspend", examples=examples)(suspend)
        command(group, "resume", examples=[f"{words} resume job-01k0… job-01k1…"])(resume)


def cancel(
    session: Session,
    job_ids: JobsArgument,
    reason: ReasonOption = "",
    force: Annotated[
        bool, typer.Option("--force", help="SIGKILL at once, without the grace period.")
    ] = False,
) -> None:
    """Stop jobs: SIGTERM, the grace period, SIGKILL for the whole process tree.

    One that cannot be cancelled keeps none of the others from it.
    """
    calls = session.client.jobs
    _each(session, job_ids, lambda job_id: calls.cancel(job_id, reason=reason, force=force))


def hold(session: Session, job_ids: JobsArgument, reason: ReasonOption = "") -> None:
    """Keep jobs that wait from starting until they are released."""
    _each(session, job_ids, lambda job_id: session.client.jobs.hold(job_id, reason=reason))


def release(session: Session, job_ids: JobsArgument, reason: ReasonOption = "") -> None:
    """Let jobs start again that were held."""
    _each(session, job_ids, lambda job_id: session.client.jobs.release(job_id, reason=reason))


def suspend(
    session: Session,
    job_ids: JobsArgument,
    reason: ReasonOption = "",
    freeze: Annotated[
        bool,
        typer.Option(
            "--freeze", help="Stop their processes where they are; they keep their GPUs and cost."
        ),
    ] = False,
) -> None:
    """Take jobs' places away until they are resumed; they save their work in their grace period."""
    calls = session.client.jobs
    _each(session, job_ids, lambda job_id: calls.suspend(job_id, reason=reason, freeze=freeze))


def resume(session: Session, job_ids: JobsArgument, reason: ReasonOption = "") -> None:
    """Queue suspended jobs again, to go on with what they have saved; let frozen ones go on."""
    _each(session, job_ids, lambda job_id: session.client.jobs.resume(job_id, reason=reason))


def _each(session: Session, job_ids: Sequence[str], act: "Callable[[str], job_pb2.Job]") -> None:
    """Do it to each, also when it cannot be done to some; exit with the code of the first of these."""
    from windlass.jobs.v1 import job_pb2, jobs_service_pb2

    failures: list[WindlassError] = []

    def done() -> "Iterator[job_pb2.Job]":
        for job_id in job_ids:
            try:
                yield act(session.job(job_id))
            except WindlassError as error:
                say(render_error(error))
                failures.append(error)

    session.each(
        done(),
        lambda job: f"{job.job_id} {job_pb2.Job.Status.Name(job.status)}",
        lambda jobs: jobs_service_pb2.ListJobsResponse(jobs=jobs),
    )
    raise typer.Exit(exit_code_of(failures[0]) if failures else 0)
