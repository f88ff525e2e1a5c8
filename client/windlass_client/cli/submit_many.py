"""`windlass jobs submit-many`."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.output import say
from windlass_client.cli.session import Session, command, exit_code_of, render_error
from windlass_client.errors import InvalidArgument

if TYPE_CHECKING:
    from windlass.jobs.v1 import job_batch_pb2, job_pb2

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
    from windlass.jobs.v1 import job_batch_pb2
    from windlass_client.jobs import refusal

    jobs, failed = _jobs(file), 0

    def results() -> "Iterator[job_batch_pb2.BatchSubmitJobsResponse.Result]":
        nonlocal failed
        for first in range(0, len(jobs), _AT_ONCE):
            some = jobs[first : first + _AT_ONCE]
            answer = session.client.jobs.submit_many([job for _, job in some])
            for (number, _), result in zip(some, answer.results, strict=True):
                error = refusal(result)
                if error is not None:
                    failed = failed or exit_code_of(error)
                    say(f"{file}:{number}: {render_error(error)}")
                if error is None or session.json:
                    yield result

    session.each(
        results(),
        lambda result: result.job.job_id,
        lambda all_: job_batch_pb2.BatchSubmitJobsResponse(results=all_),
    )
    if failed:
        raise typer.Exit(failed)


def _jobs(file: str) -> "list[tuple[int, job_pb2.Job]]":
    """The jobs of a file's lines, each with the number of its line; empty lines are left out.

    Raises:
        InvalidArgument: the file cannot be read, or a line is no job.
    """
    from windlass_client.jobs import job_of

    jobs = []
    for number, line in enumerate(_text(file), 1):
        if not line.strip():
            continue
        try:
            job = json.loads(line)
        except ValueError:
            job = None
        if not isinstance(job, dict):
            raise InvalidArgument(f"{file}:{number}: is no JSON object", reason="BAD_FILE")
        try:
            jobs.append((number, job_of(job)))
        except InvalidArgument as error:
            raise InvalidArgument(f"{file}:{number}: {error.message}", reason="BAD_FILE") from None
    return jobs


def _text(file: str) -> Sequence[str]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise InvalidArgument(f"cannot read {file}: {why}", reason="BAD_FILE") from None
    return text.split("\n")
