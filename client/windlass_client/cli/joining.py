"""`windlass nodes join-command`: the one line with which a new machine joins."""

import base64
import hashlib
import json
import shlex
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from windlass_client.cli.nodes import machines
from windlass_client.cli.output import moment, say
from windlass_client.cli.session import Session, command
from windlass_client.errors import InvalidArgument
from windlass_client.settings import Settings

_HELP = """Print the line that, run on a new machine, makes it a node.

It holds a fresh join token, the server's address and, where WINDLASS_CA_FILE names the authority that
you trust, its fingerprint: the new machine then trusts nobody else. The machine needs `pip install
'windlass\\[agent]'`; what stands behind `--` is handed to the agent.

[bold]Examples:[/bold]

    windlass nodes join-command

    windlass nodes join-command --uses 40 --lifetime 1d --install-service

    windlass nodes join-command --agent-server windlass.internal:443 -- --labels zone=a,rack=r7"""


def register(nodes: typer.Typer) -> None:
    """Add the command to those of nodes."""
    command(nodes, "join-command", help=_HELP)(join_command)


def join_command(
    session: Session,
    lifetime: Annotated[
        str | None, typer.Option(help="Of the token, such as 10m; default 1h, at most 7d.")
    ] = None,
    uses: Annotated[int, typer.Option(min=1, help="How many machines may join with it.")] = 1,
    cluster: Annotated[str, typer.Option(help="Theirs; default `default`.")] = "",
    agent_server: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="The server as nodes reach it, if otherwise."),
    ] = "",
    install_service: Annotated[
        bool, typer.Option("--install-service", help="The machine runs the agent by systemd.")
    ] = False,
    embed_ca: Annotated[
        bool,
        typer.Option(
            "--embed-ca", help="The whole CA instead of a fingerprint: the server sends no CA."
        ),
    ] = False,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- AGENT-OPTION...]", help="More options of the agent."),
    ] = None,
) -> None:
    """See `_HELP`."""
    settings = session.settings()
    if agent_server:
        settings = replace(settings, server=agent_server)
    flags = [*reach(settings, embed_ca=embed_ca), *(arguments or [])]
    token = session.client.nodes.create_join_token(
        lifetime=lifetime, max_uses=uses, cluster=cluster
    )
    line = _line(token.token, flags, install_service=install_service)
    if session.json:
        until = token.expire_time.ToJsonString()
        typer.echo(json.dumps({"command": line, "expire_time": until, "max_uses": uses}, indent=2))
    else:
        typer.echo(line)
    say(f"good for {machines(uses)} until {moment(token.expire_time)}")
    if settings.target.local:
        say("this address is this machine's own; --agent-server names another")
    elif not settings.target.tls:
        say("without TLS everybody on the way can read the token and what nodes are told")


def reach(settings: Settings, *, embed_ca: bool = False) -> list[str]:
    """The agent's options that lead to the server of these settings, on any machine.

    Raises:
        InvalidArgument: the CA file cannot be read.
    """
    target = settings.target
    flags = ["--server", target.address]
    if not target.tls:
        return flags if target.local else [*flags, "--insecure"]
    if settings.ca_file is None:
        return flags
    pem = _read(settings.ca_file)
    if embed_ca:
        return [*flags, "--ca-data", base64.b64encode(pem.encode()).decode()]
    return [*flags, "--ca-pin", ",".join(f"sha256:{pin}" for pin in fingerprints(pem))]


def fingerprints(pem: str) -> list[str]:
    """The SHA-256 of each certificate of a PEM file, in hexadecimal.

    Raises:
        InvalidArgument: there is none.
    """
    found = [
        f"{block}{ssl.PEM_FOOTER}"[block.index(ssl.PEM_HEADER) :]
        for block in pem.split(ssl.PEM_FOOTER)[:-1]
        if ssl.PEM_HEADER in block
    ]
    try:
        # It reads them all, as whoever trusts them will.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
        return [hashlib.sha256(ssl.PEM_cert_to_DER_cert(one)).hexdigest() for one in found]
    except (ssl.SSLError, ValueError):
        message = "the CA file holds no certificate in PEM"
        raise InvalidArgument(message, reason="BAD_CA_FILE") from None


def _line(token: str, flags: list[str], *, install_service: bool) -> str:
    words = [f"WINDLASS_JOIN_TOKEN={token}", "windlass", "agent", *flags]
    return shlex.join(["sudo", *words, "--install-service"] if install_service else words)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not PEM"
        message = f"cannot read the CA file {path} (WINDLASS_CA_FILE): {reason}"
        raise InvalidArgument(message, reason="BAD_CA_FILE") from error
