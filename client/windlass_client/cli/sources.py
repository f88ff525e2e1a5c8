"""`windlass sources …`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.content_options import brought
from windlass_client.cli.output import cell, moment, say, table
from windlass_client.cli.session import Session, command, exit_code_of, group, render_error
from windlass_client.errors import WindlassError
from windlass_client.quantities import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from windlass.jobs.v1 import source_pb2

app = group(
    "sources",
    help="Archives of files that jobs bring along, uploaded once by content.",
    examples=["windlass sources list", "windlass submit --source . -- python3 train.py"],
)


@command(
    app,
    "upload",
    examples=[
        "windlass sources upload .",
        'ID=$(windlass sources upload src.tar.gz); echo \'{"command": […], "source": {"source_id": "\'$ID\'"}}\'',
    ],
)
def upload(
    session: Session,
    path: Annotated[Path, typer.Argument(metavar="DIR|ARCHIVE", show_default=False)],
) -> None:
    """Pack a folder and upload it, or an archive, unless the project has that content; print its id.

    Of a folder everything is packed but .git, .venv, __pycache__ and what its .windlassignore says, or where there
    is none its .gitignore files.
    """
    source_id = brought(session, path)
    session.answer(session.client.sources.get(source_id), lambda: source_id)


@command(app, "list", examples=["windlass sources list", "windlass sources list -o json"])
def list_sources(session: Session) -> None:
    """List the archives of a project, newest first."""
    from windlass.jobs.v1 import source_pb2

    found = list(session.client.sources.list(page_size=1000))
    page = source_pb2.ListSourcesResponse(sources=found)
    session.answer(page, lambda: sources_table(found), nothing="" if found else "no sources")


@command(app, "delete", examples=["windlass sources delete source-01k0…"])
def delete(
    session: Session,
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Their ids.", show_default=False)
    ],
) -> None:
    """Remove archives that no job needs. One that cannot be removed keeps none of the others."""
    from windlass.jobs.v1 import source_pb2

    failures: list[WindlassError] = []

    def deleted() -> "Iterator[source_pb2.SourceArchive]":
        for source_id in sources:
            try:
                yield session.client.sources.delete(source_id)
            except WindlassError as error:
                say(render_error(error))
                failures.append(error)

    session.each(
        deleted(),
        lambda one: one.source_id,
        lambda all_: source_pb2.ListSourcesResponse(sources=all_),
    )
    if failures:
        raise typer.Exit(exit_code_of(failures[0]))


def sources_table(sources: "Sequence[source_pb2.SourceArchive]") -> "Table":
    """A line for each archive."""
    made = table("SOURCE", "SIZE", "SHA-256", "MADE", "USED", "BY")
    for one in sources:
        made.add_row(
            cell(one.source_id),
            cell(format_bytes(one.size_bytes)),
            cell(one.sha256[:12]),
            cell(moment(one.create_time)),
            cell(moment(one.use_time)),
            cell(one.user),
        )
    return made
