"""`windlass simulate`: recorded work under the scheduler's policies, also what a server has had."""

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.launch import become, missing, python_module
from windlass_client.cli.output import say
from windlass_client.cli.session import EXIT_FAILED, EXIT_USAGE, Session, command
from windlass_client.errors import InvalidArgument

if TYPE_CHECKING:
    from windlass.jobs.v1 import job_pb2

_PROGRAM = ".simulation"
_CURRENT = "current"
_POLICIES = ("--policy", "recorded", "--policy", _CURRENT)


def register(app: typer.Typer) -> None:
    """Add the command."""
    passed_through = {"ignore_unknown_options": True}
    command(app, "simulate", context_settings=passed_through, add_help_option=False)(simulate)


def simulate(
    session: Session,
    history: Annotated[bool, typer.Option("--history")] = False,
    on_server: Annotated[bool, typer.Option("--on-server")] = False,
    since: Annotated[str | None, typer.Option(metavar="TIME")] = None,
    save: Annotated[Path | None, typer.Option(metavar="PATH")] = None,
    arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Run recorded work under the scheduler's policies; `windlass simulate --help` says how."""
    if on_server:
        _on_server(session, arguments or [])
        return
    rest = [*(["--output", "json"] if session.json else []), *(arguments or [])]
    if not history:
        if since is not None:
            raise InvalidArgument("--since is of --history", reason="BAD_OPTION")
        become("server", [*(["--save", str(save)] if save else []), *rest], _PROGRAM)
    if problem := missing("server"):
        say(problem)
        raise typer.Exit(EXIT_USAGE)
    if not any(word.startswith("--policy") for word in rest):
        rest = [*_POLICIES, *rest]
    with _folder(save) as folder:
        files = _fetched(session, folder, session.moment(since or "7d"))
        rest = _with_current(session, folder, rest)
        session.close()
        ran = subprocess.run([*python_module("server", _PROGRAM), *files, *rest], check=False)  # noqa: S603 - our own interpreter, no shell
    raise typer.Exit(ran.returncode)


def _on_server(session: Session, words: list[str]) -> None:
    """Let the server play the trace that is named; the flags are few."""
    from windlass_client.cli.simulate_remote import simulate_on_server

    parser = argparse.ArgumentParser(
        prog="windlass simulate --on-server", allow_abbrev=False, exit_on_error=False
    )
    parser.add_argument("trace", type=Path, nargs="?", metavar="TRACE")
    parser.add_argument("--cluster", metavar="SPEC")
    parser.add_argument("--policy", action="append", default=[], metavar="NAME")
    try:
        given, more = parser.parse_known_args(words)
    except argparse.ArgumentError as error:
        raise InvalidArgument(str(error), reason="BAD_OPTION") from None
    if given.trace is None:
        raise InvalidArgument("--on-server needs a TRACE, a CSV file of jobs", reason="BAD_OPTION")
    if more:
        message = f"--on-server takes TRACE, --cluster and --policy, and not {' '.join(more)}"
        raise InvalidArgument(message, reason="BAD_OPTION")
    simulate_on_server(session, given.trace, given.cluster, given.policy)


@contextmanager
def _folder(save: Path | None) -> Iterator[Path]:
    """Where the files are put: where they are to be kept, or for the time being."""
    if save is None:
        with tempfile.TemporaryDirectory(prefix="windlass-history-") as folder:
            yield Path(folder)
        return
    try:
        save.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidArgument(f"{save}: {error.strerror}", reason="BAD_PATH") from None
    yield save


def _fetched(session: Session, folder: Path, since: datetime) -> list[str]:
    """What a server has had since then, as files; the arguments that name them."""
    from windlass_client.cli.history import write_jobs, write_nodes

    jobs, nodes = folder / "jobs.csv", folder / "nodes.csv"
    pools = [*session.client.pools.list()]
    with jobs.open("w", encoding="utf-8", newline="") as file:
        notes = write_jobs(_jobs(session, since), file, session.now(), pools)
    for what, count in sorted(notes.items()):
        say(f"note: {count} jobs {what}")
    with nodes.open("w", encoding="utf-8", newline="") as file:
        notes = write_nodes(session.client.nodes.list(), file, pools)
    for what, count in sorted(notes.items()):
        say(f"note: {count} nodes {what}")
    if jobs.read_text(encoding="utf-8").count("\n") < 2:
        say(f"no job has started that was submitted since {since:%Y-%m-%d %H:%M} UTC")
        raise typer.Exit(EXIT_FAILED)
    return ["--format", "csv", "--jobs", str(jobs), "--nodes", str(nodes)]


def _with_current(session: Session, folder: Path, words: list[str]) -> list[str]:
    """The same arguments, with the file of what the server goes by now where that is asked for."""
    from windlass_client.cli.history_policy import write_current

    asked = [
        index
        for index, word in enumerate(words)
        if word == f"--policy={_CURRENT}"
        or (index and words[index - 1 : index + 1] == ["--policy", _CURRENT])
    ]
    if not asked:
        return words
    file = folder / f"{_CURRENT}.json"
    write_current(session, file)
    renamed = [*words]
    for index in asked:
        renamed[index] = words[index].replace(_CURRENT, str(file))
    return renamed


def _jobs(session: Session, since: datetime) -> "Iterator[job_pb2.Job]":
    """The jobs of the project that was asked for, or of all that the caller may read."""
    asked = session.shared.project
    projects = [asked] if asked else [one.project for one in session.client.access.projects()]
    for project in projects:
        yield from session.client.jobs.list(project=project, created_after=since, page_size=1000)
