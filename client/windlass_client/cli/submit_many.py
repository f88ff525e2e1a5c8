"""`windlass jobs submit-many`."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.files import read_text
from windlass_client.cli.job_files import JobFile
from windlass_client.cli.output import say
from windlass_client.cli.session import Session, command, exit_code_of, render_error
from windlass_client.errors import InvalidArgument

if TYPE_CHECKING:
    from windlass.jobs.v1 import job_batch_pb2

_AT_ONCE = 200
_HELP = """Submit the jobs of a file, one JSON object on each line, and print their ids.

An object is what `POST /v1/jobs` takes. Jobs that are refused are told with their lines, and keep none of the
others out; the exit status is then not 0.

[bold]Examples:[/bold]

    windlass jobs submit-many jobs.jsonl

    for LR in 0.1 0.2; do echo '{"command": ["./train", "'$LR'"]}'; done | windlass jobs submit-many -"""

FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="- is the standard input.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "submit-many", help=_HELP)(submit_many)


def submit_many(session: Session, file: FileArgument) -> None:
    """See `_HELP`."""
    _, failed = submit_all(session, _jobs(file))
    if failed:
        raise typer.Exit(failed)


def submit_all(session: Session, jobs: Sequence[JobFile]) -> tuple[list[str], int]:
    """Submit jobs, print the ids of those that are accepted, and tell of the others where they are said.

    Returns:
        The ids, and what the command exits with for the first that was refused; 0: none was.
    """
    from windlass.jobs.v1 import job_batch_pb2
    from windlass_client.jobs import refusal

    failed = 0

    def results() -> "Iterator[job_batch_pb2.BatchSubmitJobsResponse.Result]":
        nonlocal failed
        for first in range(0, len(jobs), _AT_ONCE):
            some = jobs[first : first + _AT_ONCE]
            answer = session.client.jobs.submit_many([one.job for one in some])
            for one, result in zip(some, answer.results, strict=True):
                error = refusal(result)
                if error is not None:
                    failed = failed or exit_code_of(error)
                    say(f"{one.where('')}: {render_error(one.told(error))}")
                if error is None or session.json:
                    yield result

    found = session.each(
        results(),
        lambda result: result.job.job_id,
        lambda all_: job_batch_pb2.BatchSubmitJobsResponse(results=all_),
    )
    return [result.job.job_id for result in found if result.job.job_id], failed


def _jobs(file: str) -> list[JobFile]:
    """The jobs of a file's lines; empty lines are left out.

    Raises:
        InvalidArgument: the file cannot be read, or a line is no job.
    """
    from windlass_client.jobs import job_of

    jobs = []
    for number, line in enumerate(read_text(file).split("\n"), 1):
        if not line.strip():
            continue
        try:
            job = json.loads(line)
        except ValueError:
            job = None
        if not isinstance(job, dict):
            raise InvalidArgument(f"{file}:{number}: is no JSON object", reason="BAD_FILE")
        try:
            jobs.append(JobFile(job_of(job), file, number))
        except InvalidArgument as error:
            raise InvalidArgument(f"{file}:{number}: {error.message}", reason="BAD_FILE") from None
    return jobs
