"""`windlass secrets …`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.output import cell, moment, table
from windlass_client.cli.session import Session, command, group
from windlass_client.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from windlass.access.v1 import secret_pb2


def list_secrets(session: Session) -> None:
    """List the secrets of the project; what they are worth is never shown."""
    from windlass.access.v1 import secret_pb2

    found = list(session.client.secrets.list(page_size=1000))
    page = secret_pb2.ListSecretsResponse(secrets=found)
    session.answer(page, lambda: secrets_table(found), nothing="" if found else "no secrets")


app = group(
    "secrets",
    list_secrets,
    help="Passwords, tokens and keys that jobs are given and nobody can read.",
    examples=["windlass secrets", "windlass secrets set hf-token < token.txt"],
)
command(
    app,
    "list",
    examples=["windlass secrets list", "windlass secrets list --project vision -o json"],
)(list_secrets)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]

_SET_HELP = """Set a secret: its next version, which jobs get that start from then on.

The value is read from the input, or from a file, never from the command line, which others can see. At a terminal
it is asked for and not shown. One line break at its end is left out; --keep-newline keeps it.

[bold]Examples:[/bold]

    windlass secrets set hf-token

    pass show hf | windlass secrets set hf-token

    windlass secrets set deploy-key --from-file ~/.ssh/deploy"""


@command(app, "set", help=_SET_HELP)
def set_secret(
    session: Session,
    name: NameArgument,
    from_file: Annotated[
        Path | None,
        typer.Option(
            "--from-file", metavar="FILE", help="As it is, byte by byte.", show_default=False
        ),
    ] = None,
    keep_newline: Annotated[
        bool, typer.Option("--keep-newline", help="Keep a line break at the end of the input.")
    ] = False,
) -> None:
    """See `_SET_HELP`."""
    made = session.client.secrets.put(name, _value(name, from_file, keep_newline=keep_newline))
    session.answer(made, lambda: f"{made.name} version {made.version}")


@command(app, "get", examples=["windlass secrets get hf-token"])
def get(session: Session, name: NameArgument) -> None:
    """Show who set which version of a secret when; not what they are worth."""
    found = session.client.secrets.get(name)
    session.answer(found, lambda: versions_table(found))


@command(app, "delete", examples=["windlass secrets delete hf-token"])
def delete(session: Session, name: NameArgument) -> None:
    """Remove a secret: jobs that need it and have not started yet will fail."""
    gone = session.client.secrets.delete(name)
    session.answer(gone, lambda: f"{gone.name} deleted")


def _value(name: str, file: Path | None, *, keep_newline: bool) -> bytes:
    if file is not None:
        try:
            return file.read_bytes()
        except OSError as error:
            message = f"cannot read {file}: {error.strerror or error}"
            raise InvalidArgument(message, reason="BAD_FILE") from None
    if sys.stdin.isatty():
        return typer.prompt(f"Value of {name}", hide_input=True, err=True).encode()  # type: ignore[no-any-return]
    value = sys.stdin.buffer.read()
    if keep_newline:
        return value
    return value.removesuffix(b"\n").removesuffix(b"\r")


def secrets_table(secrets: "Sequence[secret_pb2.Secret]") -> "Table":
    """A line for each."""
    made = table("NAME", "VERSION", "BYTES", "SET BY", "SET AT", right=["VERSION", "BYTES"])
    for one in secrets:
        made.add_row(
            cell(one.name),
            str(one.version),
            str(one.size_bytes),
            cell(one.user),
            moment(one.update_time),
        )
    return made


def versions_table(secret: "secret_pb2.Secret") -> "Table":
    """A line for each version that is kept."""
    made = table("VERSION", "BYTES", "SET BY", "SET AT", right=["VERSION", "BYTES"])
    for one in secret.versions:
        made.add_row(str(one.version), str(one.size_bytes), cell(one.user), moment(one.create_time))
    return made
