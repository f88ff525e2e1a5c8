"""`windlass events`."""

from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.interrupts import Interrupts
from windlass_client.cli.output import moment, printable, say, to_json
from windlass_client.cli.session import EXIT_INTERRUPTED, Session, command

if TYPE_CHECKING:
    from windlass.access.v1 import event_pb2
    from windlass_client.errors import WindlassError
    from windlass_client.events import EventQuery


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(
        app,
        "events",
        examples=[
            "windlass events",
            "windlass events -f --kind job --reason COMPLETED --reason EXITED",
            "windlass events --object node-01k0… --since 1d -o json",
        ],
    )(events)


def events(
    session: Session,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")
    ] = False,
    tail: Annotated[
        int, typer.Option("--tail", "-t", min=0, max=1000, help="Begin with the last so many.")
    ] = 50,
    object_id: Annotated[str, typer.Option("--object", help="Only of this object.")] = "",
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Only of objects of this kind, such as job; repeatable."),
    ] = None,
    reason: Annotated[
        list[str] | None, typer.Option(help="Only for this reason; repeatable.")
    ] = None,
    actor: Annotated[str, typer.Option(help="Only what this one did.")] = "",
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME|SPAN", help="All from a time on, or of so long, such as 1h."),
    ] = None,
    cursor: Annotated[
        str, typer.Option(help="All behind this one; printed when a follow is interrupted.")
    ] = "",
) -> None:
    """Show what happened to all objects that you may see, oldest first; with --project of one project's."""
    wanted: EventQuery = {
        "project": session.shared.project or "",
        "object_id": object_id,
        "kinds": kind or (),
        "reasons": [word.upper() for word in reason or ()],
        "actor": actor,
        "follow": follow,
        "cursor": cursor,
    }
    if since is not None:
        wanted["since"] = session.moment(since)
    elif not cursor:
        wanted["tail"] = tail
    position = cursor
    try:
        with Interrupts() as interrupts:
            for event in session.client.events.stream(on_break=_tell_break, **wanted):
                with interrupts.held():
                    typer.echo(to_json(event, indent=None) if session.json else _line(event))
                    position = str(event.sequence)
    except KeyboardInterrupt:
        if position:
            say(f"\ngo on with: windlass events -f --cursor {position}")
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _line(event: "event_pb2.Event") -> str:
    """An event in a line: when, what, why, who, and in words."""
    why = f"{event.status} {event.reason}" if event.status else event.reason
    text = (
        f"{moment(event.time)}  {event.object_id:30}  {why:28}  {event.actor:16}  {event.message}"
    )
    return printable(text)


def _tell_break(error: "WindlassError", delay: float) -> None:
    if delay >= 1:
        say(f"the stream was lost ({error.message}); trying again in {delay:.0f}s")
