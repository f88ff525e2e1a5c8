"""`windlass artifacts …`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.files import write_file
from windlass_client.cli.output import cell, moment, say, status_cell, table
from windlass_client.cli.progress import bar
from windlass_client.cli.session import Session, command, exit_code_of, group, render_error
from windlass_client.cli.submit import pairs
from windlass_client.errors import InvalidArgument, NotFound, WindlassError
from windlass_client.quantities import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from windlass.jobs.v1 import artifact_pb2

app = group(
    "artifacts",
    help="Files that belong to jobs: what they made, and what you add.",
    examples=[
        "windlass artifacts upload job-01k0… model.safetensors",
        "windlass artifacts list job-01k0…",
    ],
)

JobArgument = Annotated[str, typer.Argument(metavar="JOB", show_default=False)]
ArtifactArgument = Annotated[
    str,
    typer.Argument(
        metavar="ARTIFACT", help="Its id, or its name for the newest version.", show_default=False
    ),
]


def _types(begun: str) -> list[str]:
    """For the shell: the types, in the case in which one was begun."""
    from windlass_client.artifacts import TYPE_NAMES

    return [name.lower() if begun.islower() else name for name in TYPE_NAMES]


TypeOption = Annotated[
    str | None,
    typer.Option(
        "--type",
        help="MODEL, DATASET, CHECKPOINT, PLOT, LOG or OTHER; by default as the name ends.",
        autocompletion=_types,
    ),
]

_UPLOAD_HELP = """Upload a file to a job.

It goes on by itself when the connection breaks, and later with --resume when you broke it off. A further
file of the same name is a further version.

[bold]Examples:[/bold]

    windlass artifacts upload job-01k0… model.safetensors

    windlass artifacts upload job-01k0… out.bin --name models/best.bin --type MODEL --metadata step=1200

    windlass artifacts upload job-01k0… model.safetensors --resume"""


@command(app, "upload", help=_UPLOAD_HELP)
def upload(
    session: Session,
    job_id: JobArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    name: Annotated[str, typer.Option("--name", "-n", help="By default the file's name.")] = "",
    kind: TypeOption = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option("--metadata", "-m", metavar="KEY=VALUE", help="About it; repeatable."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an upload that broke off.")
    ] = False,
) -> None:
    """See `_UPLOAD_HELP`."""
    from windlass_client.artifacts import parse_type

    called = name or file.name
    unfinished = _unfinished(session, job_id, called) if resume else ""
    with bar(f"{called}", _size(file)) as advance:
        made = session.client.artifacts.upload(
            job_id,
            file,
            name=called,
            type=parse_type(kind) if kind else None,
            metadata=pairs(metadata or [], "--metadata"),
            resume=unfinished,
            on_progress=advance,
        )
    session.answer(made, lambda: made.artifact_id)


def _unfinished(session: Session, job_id: str, name: str) -> str:
    """The newest upload of that name that broke off."""
    from windlass.jobs.v1 import artifact_pb2

    for one in session.client.artifacts.list(job_id, name=name, show_unfinished=True):
        if one.state == artifact_pb2.Artifact.UPLOADING:
            say(f"going on with {one.artifact_id}: {format_bytes(one.size_bytes)} are there")
            return one.artifact_id
    say(f"there is no upload of {name} that broke off; beginning anew")
    return ""


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        message = f"cannot read {file}: {error.strerror or error}"
        raise InvalidArgument(message, reason="BAD_FILE") from None


_LIST_HELP = """List the artifacts of a job, newest first.

[bold]Examples:[/bold]

    windlass artifacts list job-01k0…

    windlass artifacts list job-01k0… --type model -o json"""


@command(app, "list", help=_LIST_HELP)
def list_artifacts(
    session: Session,
    job_id: JobArgument,
    name: Annotated[
        str, typer.Option("--name", "-n", help="Only of this name, all versions.")
    ] = "",
    kind: TypeOption = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also those that are still uploaded.")
    ] = False,
) -> None:
    """See `_LIST_HELP`."""
    from windlass.jobs.v1 import artifact_pb2
    from windlass_client.artifacts import parse_type

    found = list(
        session.client.artifacts.list(
            job_id,
            name=name,
            type=parse_type(kind) if kind else None,
            show_unfinished=unfinished,
            page_size=1000,
        )
    )
    page = artifact_pb2.ListJobArtifactsResponse(artifacts=found)
    session.answer(page, lambda: artifacts_table(found), nothing="" if found else "no artifacts")


_DOWNLOAD_HELP = """Download an artifact; what comes is compared with its digest.

It goes on by itself when the connection breaks.

[bold]Examples:[/bold]

    windlass artifacts download job-01k0… model.safetensors

    windlass artifacts download job-01k0… artifact-01k0… --to best.bin

    windlass artifacts download job-01k0… table.csv --to - | head"""


@command(app, "download", help=_DOWNLOAD_HELP)
def download(
    session: Session,
    job_id: JobArgument,
    artifact: ArtifactArgument,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Where to; by default the last part of its name, `-` is the output.",
        ),
    ] = None,
) -> None:
    """See `_DOWNLOAD_HELP`."""
    found = _found(session, job_id, artifact)
    target = to or found.name.rpartition("/")[2]
    with bar(found.name, found.size_bytes) as advance:
        pieces = session.client.artifacts.download(job_id, found.artifact_id, on_progress=advance)
        write_file(target, pieces)


@command(app, "delete", examples=["windlass artifacts delete job-01k0… artifact-01k0…"])
def delete(
    session: Session,
    job_id: JobArgument,
    artifacts: Annotated[
        list[str], typer.Argument(metavar="ARTIFACT...", help="Their ids.", show_default=False)
    ],
) -> None:
    """Remove artifacts, or give their uploads up. One that cannot be removed keeps none of the others."""
    from windlass.jobs.v1 import artifact_pb2

    failures: list[WindlassError] = []

    def deleted() -> "Iterator[artifact_pb2.Artifact]":
        for artifact_id in artifacts:
            try:
                yield session.client.artifacts.delete(job_id, artifact_id)
            except WindlassError as error:
                say(render_error(error))
                failures.append(error)

    session.each(
        deleted(),
        lambda one: f"{one.artifact_id} {one.name}",
        lambda found: artifact_pb2.ListJobArtifactsResponse(artifacts=found),
    )
    raise typer.Exit(exit_code_of(failures[0]) if failures else 0)


def _found(session: Session, job_id: str, artifact: str) -> "artifact_pb2.Artifact":
    """The artifact of an id, or the newest version of a name."""
    if artifact.startswith("artifact-"):
        return session.client.artifacts.get(job_id, artifact)
    for one in session.client.artifacts.list(job_id, name=artifact, page_size=1):
        return one
    raise NotFound(f"job {job_id} has no artifact {artifact!r}", reason="ARTIFACT_NOT_FOUND")


def artifacts_table(artifacts: "Sequence[artifact_pb2.Artifact]") -> "Table":
    """A line for each artifact."""
    from windlass.jobs.v1 import artifact_pb2

    kinds, states = artifact_pb2.Artifact.Type, artifact_pb2.Artifact.State
    made = table("ARTIFACT", "NAME", "VERSION", "TYPE", "SIZE", "STATE", "MADE", "BY")
    for one in artifacts:
        made.add_row(
            cell(one.artifact_id),
            cell(one.name),
            cell(one.version or ""),
            cell(kinds.Name(one.type)),
            cell(format_bytes(one.size_bytes)),
            status_cell(states.Name(one.state)),
            cell(moment(one.create_time)),
            cell(f"rank {one.rank}, attempt {one.attempt}" if one.run_id else one.user),
        )
    return made
