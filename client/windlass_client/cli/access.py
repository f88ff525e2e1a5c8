"""`windlass token`, `windlass projects`, `windlass api-keys`."""

from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.output import cell, moment, say, table
from windlass_client.cli.session import Session, command, group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from windlass.access.v1 import access_pb2


def register(app: typer.Typer) -> None:
    """Add the commands and groups."""
    command(app, "token", help=_TRADE_HELP)(token)
    app.add_typer(projects_app)
    app.add_typer(keys_app)


_TRADE_HELP = """Trade your API key for a short-lived token and print it.

[bold]Example:[/bold]

    curl -H "Authorization: Bearer $(windlass token)" http://127.0.0.1:8080/v1/jobs"""


def token(
    session: Session,
    lifetime: Annotated[
        str | None, typer.Option(help="Such as 5m; default and at most 15m.")
    ] = None,
) -> None:
    """See `_TRADE_HELP`."""
    access_token = session.client.access.create_token(lifetime=lifetime)
    session.answer(access_token, lambda: access_token.access_token)


def list_projects(session: Session) -> None:
    """List the projects that you may see."""
    from windlass.access.v1 import access_service_pb2

    projects = list(session.client.access.projects(page_size=1000))
    page = access_service_pb2.ListProjectsResponse(projects=projects)
    session.answer(
        page, lambda: projects_table(projects), nothing="" if projects else "no projects"
    )


projects_app = group(
    "projects",
    list_projects,
    help="Show and make projects; default: list them.",
    examples=["windlass projects", "windlass projects create vision"],
)
command(
    projects_app, "list", examples=["windlass projects list", "windlass projects list -o json"]
)(list_projects)


@command(
    projects_app,
    "create",
    examples=["windlass projects create vision --display-name 'Computer vision'"],
)
def create_project(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    display_name: Annotated[str, typer.Option(help="For people.")] = "",
) -> None:
    """Make a project."""
    project = session.client.access.create_project(name, display_name=display_name)
    session.answer(project, lambda: project.project)


_ROLES = ("viewer", "developer", "admin")

keys_app = group(
    "api-keys",
    help="Make, list and revoke API keys.",
    examples=[
        "windlass api-keys create ci@example.com --role developer --project vision",
        "windlass api-keys list",
    ],
)

_CREATE_HELP = """Make an API key and print its secret, which is shown only now.

[bold]Example:[/bold]

    windlass api-keys create ci@example.com --role developer --project vision --lifetime 90d"""


@command(keys_app, "create", help=_CREATE_HELP)
def create_key(
    session: Session,
    user: Annotated[str, typer.Argument(metavar="USER", show_default=False)],
    role: Annotated[
        str, typer.Option(help="viewer, developer or admin.", autocompletion=lambda: list(_ROLES))
    ] = "developer",
    display_name: Annotated[str, typer.Option(help="For people.")] = "",
    lifetime: Annotated[str | None, typer.Option(help="Such as 90d; default for ever.")] = None,
) -> None:
    """See `_CREATE_HELP`."""
    from windlass_client.access import parse_role

    made = session.client.access.create_api_key(
        user, role=parse_role(role), display_name=display_name, lifetime=lifetime
    )
    session.answer(made, lambda: made.secret)
    say(f"key {made.api_key.key_id} of {made.api_key.user}; the secret is not shown again")


@command(keys_app, "list", examples=["windlass api-keys list", "windlass api-keys list -o json"])
def list_keys(session: Session) -> None:
    """List the API keys of the organisation, newest first, without their secrets."""
    from windlass.access.v1 import access_service_pb2

    keys = list(session.client.access.api_keys(page_size=1000))
    page = access_service_pb2.ListApiKeysResponse(api_keys=keys)
    session.answer(page, lambda: keys_table(keys), nothing="" if keys else "no API keys")


@command(keys_app, "revoke", examples=["windlass api-keys revoke key-01k0…"])
def revoke_key(
    session: Session, key_id: Annotated[str, typer.Argument(metavar="KEY", show_default=False)]
) -> None:
    """Make an API key useless, at once and for ever."""
    key = session.client.access.revoke_api_key(key_id)
    session.answer(key, lambda: f"{key.key_id} revoked")


def projects_table(projects: "Sequence[access_pb2.Project]") -> "Table":
    """A line for each project."""
    made = table("PROJECT", "NAME", "MADE")
    for project in projects:
        made.add_row(
            cell(project.project), cell(project.display_name), cell(moment(project.create_time))
        )
    return made


def keys_table(keys: "Sequence[access_pb2.ApiKey]") -> "Table":
    """A line for each key."""
    from windlass.access.v1 import access_pb2

    made = table("KEY", "USER", "PROJECT", "ROLE", "NAME", "MADE", "EXPIRES", "STATE")
    for key in keys:
        revoked = key.HasField("revoke_time")
        made.add_row(
            cell(key.key_id),
            cell(key.user),
            cell(key.project or "(organisation)"),
            cell(access_pb2.Role.Name(key.role)),
            cell(key.display_name),
            cell(moment(key.create_time)),
            cell(moment(key.expire_time) if key.HasField("expire_time") else "never"),
            cell("revoked" if revoked else "active", "dim" if revoked else "green"),
        )
    return made
