"""`windlass fleet`: simulated nodes, which join with a token that is asked for on the way."""

import os
from typing import Annotated

import typer

from windlass_client.cli.launch import become
from windlass_client.cli.session import Session, command
from windlass_client.settings import Settings

_TOKEN_VARIABLE = "WINDLASS_JOIN_TOKEN"  # noqa: S105 - its name
# As the program's own default: so many uses does the token need that is asked for here.
_DEFAULT_NODES = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    passed_through = {"ignore_unknown_options": True}
    command(app, "fleet", context_settings=passed_through, add_help_option=False)(fleet)


def fleet(
    session: Session,
    nodes: Annotated[int, typer.Option(metavar="N", min=1)] = _DEFAULT_NODES,
    arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Run simulated nodes against a server; `windlass fleet --help` says how."""
    rest = arguments or []
    asks_for_help = any(word in ("--help", "-h") for word in rest)
    has_token = any(word.startswith("--join-token-file") for word in rest)
    if not (asks_for_help or has_token or os.environ.get(_TOKEN_VARIABLE)):
        token = session.client.nodes.create_join_token(max_uses=nodes, lifetime="1h")
        os.environ[_TOKEN_VARIABLE] = token.token
    json = ["--json"] if session.json else []
    become("agent", [*reach(session.settings()), "--nodes", str(nodes), *json, *rest], ".fleet")


def reach(settings: Settings) -> list[str]:
    """The flags with which an agent reaches the server that a client reaches with these settings."""
    target = settings.target
    flags = ["--server", target.address]
    if not target.tls and not target.local:
        flags.append("--insecure")
    if target.tls and settings.ca_file is not None:
        flags += ["--ca-file", str(settings.ca_file.absolute())]
    return flags
