"""`windlass logs`, and following a job to its end."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from windlass_client.cli.interrupts import Interrupts
from windlass_client.cli.output import say, to_json
from windlass_client.cli.session import EXIT_INTERRUPTED, Session, command

if TYPE_CHECKING:
    from windlass.jobs.v1 import job_pb2
    from windlass_client.errors import WindlassError

_HELP = """Print a job's output: its standard output on ours, its standard error on ours.

A followed log survives restarts of the server: it goes on behind the last line it printed.

[bold]Examples:[/bold]

    windlass logs job-01j… -f

    windlass logs job-01j… --tail 100 --stream stderr

    windlass logs job-01j… --rank 3 -f    of a job of several nodes only one

    windlass logs job-01j…/17    of an array the index 17; the same: --index 17

    windlass logs job-01j… --since 10m --grep 'loss=[0-9.]+' -f

    windlass logs job-01j… --since 2026-11-26T08:00Z --until 2026-11-26T09:00Z

    windlass logs job-01j… --tail 5 --grep error --ignore-case    the last 5 lines with it

    windlass logs job-01j… -o json        one JSON message a line, with cursors"""


_LONGEST_TAIL = 1_000_000


def register(*apps: typer.Typer) -> None:
    """Add the command, to each group in which people look for it."""
    for app in apps:
        here = "windlass" if app.info.name == "windlass" else f"windlass {app.info.name}"
        command(app, "logs", help=_HELP.replace("windlass logs", f"{here} logs"))(logs)


def logs(
    session: Session,
    job_id: Annotated[str, typer.Argument(metavar="JOB", show_default=False)],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on to the job's end.")] = False,
    tail: Annotated[
        int | None,
        typer.Option(
            min=0, max=_LONGEST_TAIL, help="Start with the last so many lines; default all."
        ),
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(
            metavar="stdout|stderr",
            help="Only this stream.",
            autocompletion=lambda: ["stdout", "stderr"],
        ),
    ] = None,
    cursor: Annotated[
        str, typer.Option(help="Start behind this position; printed when a follow is interrupted.")
    ] = "",
    rank: Annotated[
        int | None,
        typer.Option(min=0, max=511, help="Only this rank of a job of several nodes."),
    ] = None,
    index: Annotated[
        int | None, typer.Option(min=0, max=99_999, help="Of an array, this index.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME|SPAN", help="Start at a time, or so long ago, such as 10m."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME|SPAN", help="End before a time, as --since.")
    ] = None,
    grep: Annotated[
        str,
        typer.Option(
            "--grep", "-g", metavar="PATTERN", help="Only lines in which this RE2 pattern matches."
        ),
    ] = "",
    ignore_case: Annotated[
        bool, typer.Option("--ignore-case", "-i", help="--grep finds capitals and small letters.")
    ] = False,
    fixed: Annotated[
        bool, typer.Option("--fixed", "-F", help="--grep is a text and no pattern.")
    ] = False,
) -> None:
    """See `_HELP`."""
    if (ignore_case or fixed) and not grep:
        raise typer.BadParameter(
            "is for --grep", param_hint="--fixed" if fixed else "--ignore-case"
        )
    _copy(
        session,
        session.job(job_id if index is None else f"{job_id}/{index}"),
        follow=follow,
        tail=tail,
        stream=stream,
        cursor=cursor,
        rank=rank,
        since=since and session.moment(since),
        until=until and session.moment(until),
        grep=grep,
        ignore_case=ignore_case,
        fixed=fixed,
    )


def follow_to_end(session: Session, job_id: str) -> None:
    """Print the log until the job has ended, then exit as it did."""
    _copy(session, job_id, follow=True)
    job = session.client.jobs.wait(job_id)
    say(verdict(job))
    exit_as(job)


def verdict(job: "job_pb2.Job") -> str:
    """How a job ended, in a line."""
    from windlass.jobs.v1 import job_pb2

    why = f": {job.status_message}" if job.status_message else ""
    return f"{job.job_id} {job_pb2.Job.Status.Name(job.status)}{why}"


def exit_as(job: "job_pb2.Job") -> None:
    """Exit with what the job's command returned."""
    from windlass_client.jobs import exit_code

    raise typer.Exit(exit_code(job))


def _copy(
    session: Session,
    job_id: str,
    *,
    stream: str | None = None,
    cursor: str = "",
    **wanted: Any,
) -> None:
    position = cursor
    messages = session.client.jobs.logs(
        job_id,
        stream=_parse_stream(stream),
        cursor=cursor,
        on_break=_tell_break,
        **wanted,
    )
    try:
        with Interrupts() as interrupts:
            for message in messages:
                with interrupts.held():
                    _write(message, as_json=session.json)
                    position = message.cursor or position
    except KeyboardInterrupt:
        behind = f" --cursor {position}" if position else ""
        say(f"\n{job_id} goes on; follow it again with: windlass logs {job_id} -f{behind}")
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _write(message: "job_pb2.JobLogMessage", *, as_json: bool) -> None:
    if as_json:
        typer.echo(to_json(message, indent=None))
        return
    for lost in message.end.incomplete:
        say(f"the output of {lost.run_id} is not all there: {lost.message}")
    if not message.HasField("chunk"):
        return
    chunk = message.chunk
    payload = chunk.text.encode() if chunk.HasField("text") else chunk.data
    out = sys.stderr if chunk.stream == chunk.STDERR else sys.stdout
    out.flush()
    out.buffer.write(payload)
    out.buffer.flush()


def _parse_stream(name: str | None) -> "job_pb2.LogChunk.Stream | None":
    from windlass.jobs.v1 import job_pb2

    if name is None:
        return None
    streams = {"stdout": job_pb2.LogChunk.STDOUT, "stderr": job_pb2.LogChunk.STDERR}
    if name.lower() not in streams:
        raise typer.BadParameter(f"{name!r} is neither stdout nor stderr", param_hint="--stream")
    return streams[name.lower()]


def _tell_break(error: "WindlassError", delay: float) -> None:
    if delay >= 1:
        say(f"log stream lost ({error.message}); trying again in {delay:.0f}s")
