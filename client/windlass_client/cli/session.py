"""What every command that talks to the server shares: its options, its client, how it fails.

A command is a function of a `Session` and its own options; `command` gives it the shared options, so
that they may stand before the command, behind it, or between a group and its command.
"""

import inspect
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, TypeVar

import typer

from windlass_client.cli.output import Output, console, printable, read_clock, say, to_json
from windlass_client.errors import InvalidArgument, NotFound, WindlassError
from windlass_client.quantities import parse_duration
from windlass_client.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.message import Message
    from rich.console import RenderableType

    from windlass_client import Client

P = ParamSpec("P")
M = TypeVar("M")

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_NOT_FOUND = 4
EXIT_DENIED = 5
EXIT_INTERRUPTED = 130

EXIT_CODES = {
    "INVALID_ARGUMENT": EXIT_USAGE,
    "OUT_OF_RANGE": EXIT_USAGE,
    "UNAVAILABLE": EXIT_UNREACHABLE,
    "DEADLINE_EXCEEDED": EXIT_UNREACHABLE,
    "NOT_FOUND": EXIT_NOT_FOUND,
    "PERMISSION_DENIED": EXIT_DENIED,
    "UNAUTHENTICATED": EXIT_DENIED,
}

# Where `windlass up` leaves the administrator's token; looked at when nothing else names one and the
# server is on this machine.
LOCAL_TOKEN = Path("windlass-data/admin.token")

_PANEL = "Connection and output"

ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="HOST:PORT",
        help="The server; https:// or http:// may precede it (env: WINDLASS_SERVER).",
        rich_help_panel=_PANEL,
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        help="API key or access token; the environment keeps it out of `ps` "
        "(env: WINDLASS_TOKEN or WINDLASS_TOKEN_FILE).",
        rich_help_panel=_PANEL,
    ),
]
ProjectOption = Annotated[
    str | None,
    typer.Option(
        "--project",
        "-p",
        metavar="NAME",
        help="The project (env: WINDLASS_PROJECT).",
        rich_help_panel=_PANEL,
    ),
]
OutputOption = Annotated[
    Output | None,
    typer.Option(
        "--output",
        "-o",
        help="How to print the answer; json is one document, of logs a line for each. Default table.",
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True)
class Shared:
    """The shared options as given at one level of the command line."""

    server: str | None = None
    token: str | None = None
    project: str | None = None
    output: Output | None = None

    def over(self, outer: "Shared") -> "Shared":
        """These options, and the outer level's where these are unset."""
        names = [f.name for f in fields(self)]
        return Shared(**{n: getattr(self, n) or getattr(outer, n) for n in names})


class Session:
    """One invocation: settings, the client once it is needed, and where answers go.

    Attributes:
        given: the command's own options that were given, by the names of its parameters.
    """

    def __init__(self, shared: Shared, given: Collection[str] = ()) -> None:
        self.shared = shared
        self.given = given
        self.now = read_clock
        self._client: Client | None = None

    @property
    def json(self) -> bool:
        """Whether the answer is printed as JSON."""
        return self.shared.output is Output.JSON

    def settings(self) -> Settings:
        """Options over environment. Raises InvalidArgument."""
        return Settings.load(
            server=self.shared.server,
            token=self.shared.token,
            project=self.shared.project,
            token_files=(LOCAL_TOKEN,),
        )

    @property
    def client(self) -> "Client":
        """The client, opened at its first use: only then is grpc imported."""
        if self._client is None:
            from windlass_client import Client

            self._client = Client(settings=self.settings())
        return self._client

    def moment(self, text: str) -> datetime:
        """A span before now, such as `7d`, or a date or time as ISO 8601 has it, in UTC unless it says.

        Raises:
            InvalidArgument: it is neither.
        """
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            return at if at.tzinfo else at.replace(tzinfo=UTC)
        try:
            return self.now() - parse_duration(text)
        except OverflowError:
            message = f"{text} ago there was no time yet"
        except InvalidArgument:
            message = f"{text!r} is no time; write such as 7d, 2026-11-01 or 2026-11-01T08:00"
        raise InvalidArgument(message, reason="BAD_TIME")

    def job(self, word: str) -> str:
        """The id of the job that a word names: `JOB`, or `JOB/17` for an index of an array."""
        job_id, slash, index = word.partition("/")
        if not slash:
            return word
        if not (index.isascii() and index.isdecimal() and len(index) <= 5):
            raise InvalidArgument(f"{word!r} is no job, nor JOB/INDEX", reason="BAD_INDEX")
        for found in self.client.jobs.array_indices(job_id, index=int(index)):
            if found.job_id:
                return found.job_id
            message = f"index {index} of {job_id} has no job yet"
            raise NotFound(message, reason="ARRAY_INDEX_PENDING")
        raise NotFound(f"{job_id} has no index {index}", reason="ARRAY_INDEX_NOT_FOUND")

    def answer(
        self, message: "Message", view: "Callable[[], RenderableType]", *, nothing: str = ""
    ) -> None:
        """Print an answer: `message` as JSON, or what `view` makes for people.

        Args:
            message: the answer.
            view: makes a table or lines of it.
            nothing: says in words that there is nothing in it, beside the answer; empty: there is.
        """
        if self.json:
            typer.echo(to_json(message))
            return
        if nothing:
            say(nothing)
            return
        shown = view()
        if isinstance(shown, str):
            typer.echo(printable(shown))
        else:
            console(sys.stdout).print(shown)

    def each(
        self, found: "Iterable[M]", line: "Callable[[M], str]", page: "Callable[[list[M]], Message]"
    ) -> "list[M]":
        """Print a line for each as it comes; as JSON one document, that of a list, in the end.

        When getting one of them fails, those before it are printed.
        """
        seen: list[M] = []
        try:
            for one in found:
                seen.append(one)
                if not self.json:
                    typer.echo(printable(line(one)))
        finally:
            if self.json:
                typer.echo(to_json(page(seen)))
        return seen

    def close(self) -> None:
        """Close the client if it was opened."""
        if self._client is not None:
            self._client.close()


def command(
    app: typer.Typer, name: str, *, examples: Sequence[str] = (), **settings: Any
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Register a function of a session as a command with the shared options.

    Args:
        app: where.
        name: what it is called.
        examples: command lines, shown behind what the function's own text says.
        settings: as typer has them; with `help` that is the whole text.
    """

    def register(
        run: Callable[Concatenate[Session, P], None],
    ) -> Callable[Concatenate[Session, P], None]:
        if examples:
            settings["help"] = _with_examples(inspect.getdoc(run) or "", examples)
        app.command(name, **settings)(_with_shared_options(run))
        return run

    return register


def group(
    name: str,
    default: Callable[[Session], None] | None = None,
    *,
    help: str,  # noqa: A002 - as typer calls it
    examples: Sequence[str],
    **settings: Any,
) -> typer.Typer:
    """A group of commands that takes the shared options; without a command it runs `default`."""
    text = _with_examples(help, examples)
    app = typer.Typer(name=name, help=text, no_args_is_help=default is None, **settings)

    def run(
        ctx: typer.Context,
        server: ServerOption = None,
        token: TokenOption = None,
        project: ProjectOption = None,
        output: OutputOption = None,
    ) -> None:
        ctx.obj = Shared(server, token, project, output).over(_outer(ctx))
        if ctx.invoked_subcommand is None and default is not None:
            _run(default, Session(ctx.obj), {})

    app.callback(invoke_without_command=default is not None)(run)
    return app


def _with_examples(text: str, examples: Sequence[str]) -> str:
    """A help text with command lines behind it, as they are."""
    heading = "Example" if len(examples) == 1 else "Examples"
    lines = "\n\n".join(f"    {one}" for one in examples)
    return f"{text}\n\n[bold]{heading}:[/bold]\n\n{lines}"


def _outer(ctx: typer.Context) -> Shared:
    return ctx.obj if isinstance(ctx.obj, Shared) else Shared()


def _with_shared_options(run: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """The function that typer sees: its own options, then the shared ones."""

    def invoke(ctx: typer.Context, **values: Any) -> None:
        own = Shared(**{f.name: values.pop(f.name) for f in fields(Shared)})
        given = [name for name in values if _is_given(ctx, name)]
        _run(run, Session(own.over(_outer(ctx)), given), values)

    own_parameters = list(inspect.signature(run).parameters.values())[1:]
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = [
        context,
        *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own_parameters),
        *_SHARED_PARAMETERS,
    ]
    invoke.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    invoke.__annotations__ = {p.name: p.annotation for p in parameters}
    invoke.__doc__ = run.__doc__
    return invoke


def _is_given(ctx: typer.Context, name: str) -> bool:
    """Whether a parameter was said, and is not its default."""
    source = ctx.get_parameter_source(name)
    return source is not None and not source.name.startswith("DEFAULT")


_SHARED_PARAMETERS = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
    for name, annotation in (
        ("server", ServerOption),
        ("token", TokenOption),
        ("project", ProjectOption),
        ("output", OutputOption),
    )
]


def _run(run: Callable[..., None], session: Session, values: dict[str, Any]) -> None:
    try:
        run(session, **values)
    except WindlassError as error:
        typer.echo(render_error(error), err=True)
        raise typer.Exit(exit_code_of(error)) from None
    finally:
        session.close()


def exit_code_of(error: WindlassError) -> int:
    """What a command that failed so exits with."""
    return EXIT_CODES.get(error.code, EXIT_FAILED)


def render_error(error: WindlassError) -> str:
    """One line, then one for each field violation; and what to do about it where that is known."""
    lines = [f"error: {_one_line(error.message)}" + (f" ({error.reason})" if error.reason else "")]
    lines += [f"  {v.field}: {_one_line(v.description)}" for v in error.field_violations]
    if error.code == "UNAUTHENTICATED":
        lines.append("hint: set WINDLASS_TOKEN or WINDLASS_TOKEN_FILE")
    if error.code == "UNAVAILABLE" and not error.reason:
        lines.append("hint: start a server with `windlass up`, or name one with --server")
    return printable("\n".join(lines))


def _one_line(text: str) -> str:
    return " ".join(text.split())
