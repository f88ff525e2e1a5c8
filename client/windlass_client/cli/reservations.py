"""`windlass reservations …`."""

from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.moments import moment_ahead
from windlass_client.cli.output import cell, moment, say, status_cell, table
from windlass_client.cli.session import Session, command, group
from windlass_client.errors import InvalidArgument
from windlass_client.quantities import (
    format_bytes,
    format_cpu_millis,
    parse_duration,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from windlass.resources.v1 import reservation_pb2

ReservationArgument = Annotated[str, typer.Argument(metavar="RESERVATION", show_default=False)]
StartOption = Annotated[
    str | None,
    typer.Option(
        "--start", help="Such as +2h or 2026-12-24T20:00Z; default now.", show_default=False
    ),
]
EndOption = Annotated[
    str | None, typer.Option("--end", help="The same; or else --for.", show_default=False)
]
ForOption = Annotated[
    str | None, typer.Option("--for", help="How long, such as 8h.", show_default=False)
]
UserOption = Annotated[
    list[str] | None, typer.Option("--user", help="Of the project only this principal; repeatable.")
]


_OVER = "; --all lists also those that are over"


def list_reservations(
    session: Session,
    node: Annotated[str, typer.Option(help="Only with a part of this node (id).")] = "",
    status: Annotated[
        str, typer.Option(help="Only such: PENDING, ACTIVE, ENDED or CANCELLED.")
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Also those that are over.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 lists all.")] = 50,
) -> None:
    """List the reservations of all projects, newest first."""
    from windlass.resources.v1 import reservation_pb2, resources_service_pb2
    from windlass_client.reservations import parse_status

    wanted = parse_status(status) if status else None
    found = session.client.reservations.list(node_id=node, status=wanted)
    over = (reservation_pb2.Reservation.ENDED, reservation_pb2.Reservation.CANCELLED)
    shown = (one for one in found if everything or wanted or one.status not in over)
    reservations = list(islice(shown, limit + 1) if limit else shown)
    if limit and len(reservations) > limit:
        reservations.pop()
        say(f"the newest {limit} are shown; --limit 0 lists all")
    page = resources_service_pb2.ListReservationsResponse(reservations=reservations)
    nothing = "" if reservations else f"no reservations{'' if everything or wanted else _OVER}"
    session.answer(page, lambda: reservations_table(reservations), nothing=nothing)


app = group(
    "reservations",
    list_reservations,
    help="Keep nodes, or amounts of them, for a time to come.",
    examples=[
        "windlass reservations create --project vision --gpus 16 --gpu-type H100 --start +1d --for 8h",
        "windlass reservations",
    ],
)
command(
    app,
    "list",
    examples=["windlass reservations list", "windlass reservations list --all --status CANCELLED"],
)(list_reservations)

_CREATE_HELP = """Keep nodes, or amounts of them, for a project, and print the reservation's id.

Nothing is begun there that could run into it: jobs without a time limit wait.

[bold]Examples:[/bold]

    windlass reservations create --project vision --gpus 16 --gpu-type H100 --start +1d --for 8h

    windlass reservations create -p vision --nodes 2 --for 8h --cron '0 22 * * MON-FRI'
    --time-zone Europe/Berlin --user ada

    windlass reservations create --node n7 --maintenance --start 2026-12-24T06:00Z --for 4h
    --reason 'new fans'"""


@command(app, "create", help=_CREATE_HELP)
def create(
    session: Session,
    start: StartOption = None,
    end: EndOption = None,
    length: ForOption = None,
    user: UserOption = None,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs in all.")] = 0,
    gpu_type: Annotated[str, typer.Option(help="Their type, such as H100.")] = "",
    cpus: Annotated[
        str, typer.Option(help="Cores in all; with GPUs their share of their nodes.")
    ] = "",
    memory: Annotated[str, typer.Option(help="In all, such as 64GiB; the same.")] = "",
    nodes: Annotated[int, typer.Option(min=0, help="Instead: so many whole nodes.")] = 0,
    node: Annotated[
        list[str] | None,
        typer.Option("--node", help="Instead: this node, by id or name; repeatable."),
    ] = None,
    maintenance: Annotated[
        bool, typer.Option("--maintenance", help="For work on the machines, and for nobody.")
    ] = False,
    cron: Annotated[str, typer.Option(help="When it comes again, such as '0 22 * * *'.")] = "",
    time_zone: Annotated[
        str, typer.Option(help="Where these hours are meant, such as Europe/Berlin; UTC.")
    ] = "",
    until: Annotated[str | None, typer.Option(help="It does not begin then or later.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for people.")] = "",
) -> None:
    """See `_CREATE_HELP`."""
    from windlass_client.cli.nodes import node_ids

    now = session.now().astimezone(UTC)
    begins = moment_ahead(start, now) if start else None
    made = session.client.reservations.create(
        begins,
        _end(begins or now, end, length, now),
        users=user or (),
        gpus=gpus,
        gpu_type=gpu_type,
        cpus=cpus,
        memory=memory,
        node_count=nodes,
        node_ids=node_ids(session, node or ()),
        maintenance=maintenance,
        cron=cron,
        time_zone=time_zone,
        until=moment_ahead(until, now) if until else None,
        reason=reason,
    )
    session.answer(made, lambda: made.reservation_id)


@command(app, "get", examples=["windlass reservations get resv-01k0…"])
def get(session: Session, reservation: ReservationArgument) -> None:
    """Show a reservation and its parts."""
    found = session.client.reservations.get(reservation)
    session.answer(found, lambda: reservation_table(found))


@command(
    app,
    "update",
    examples=["windlass reservations update resv-01k0… --end +4h --user ada --user bob"],
)
def update(
    session: Session,
    reservation: ReservationArgument,
    start: StartOption = None,
    end: EndOption = None,
    user: UserOption = None,
    reason: Annotated[str | None, typer.Option(help="Why, for people.", show_default=False)] = None,
) -> None:
    """Change when and for whom a reservation is; what is not given stays as it is."""
    now = session.now().astimezone(UTC)
    found = session.client.reservations.update(
        reservation,
        start=moment_ahead(start, now) if start else None,
        end=moment_ahead(end, now) if end else None,
        users=user or None,
        reason=reason,
    )
    session.answer(found, lambda: reservation_table(found))


@command(app, "cancel", examples=["windlass reservations cancel resv-01k0…"])
def cancel(session: Session, reservation: ReservationArgument) -> None:
    """End a reservation now and for ever; what runs goes on."""
    ended = session.client.reservations.cancel(reservation)
    session.answer(ended, lambda: f"{ended.reservation_id} {_status(ended)}")


def _end(begins: datetime, end: str | None, length: str | None, now: datetime) -> datetime:
    if (end is None) == (length is None):
        raise InvalidArgument("give one of --end and --for", reason="BAD_TIME")
    return moment_ahead(end, now) if end else begins + parse_duration(str(length))


def _status(one: "reservation_pb2.Reservation") -> str:
    from windlass.resources.v1 import reservation_pb2

    return reservation_pb2.Reservation.Status.Name(one.status)


def reservations_table(reservations: "Sequence[reservation_pb2.Reservation]") -> "Table":
    """A line for each reservation."""
    made = table("RESERVATION", "STATUS", "FOR", "BEGINS", "ENDS", "KEEPS", "REASON")
    for one in reservations:
        made.add_row(
            cell(one.reservation_id),
            status_cell(_status(one)),
            cell(_whom(one)),
            cell(moment(one.next_start_time) if one.HasField("next_start_time") else ""),
            cell(moment(one.next_end_time) if one.HasField("next_end_time") else ""),
            cell(_what(one)),
            cell(one.reason),
        )
    return made


def reservation_table(one: "reservation_pb2.Reservation") -> "Table":
    """Everything about a reservation."""
    made = table("", "")
    made.show_header = False
    again = one.recurrence
    for heading, value in (
        ("reservation", one.reservation_id),
        ("status", _status(one)),
        ("for", _whom(one)),
        ("reason", one.reason),
        ("problem", one.problem),
        ("begins", moment(one.next_start_time) if one.HasField("next_start_time") else ""),
        ("ends", moment(one.next_end_time) if one.HasField("next_end_time") else ""),
        ("again", f"{again.cron} {again.time_zone or 'UTC'}" if again.cron else ""),
        ("keeps", _what(one)),
        *((f"of {part.node_id}", _part(part)) for part in one.parts),
        ("made by", one.user),
    ):
        if value:
            made.add_row(cell(heading, "bold"), cell(value))
    return made


def _whom(one: "reservation_pb2.Reservation") -> str:
    if one.maintenance:
        return "maintenance"
    return f"{one.project} ({', '.join(one.users)})" if one.users else one.project


def _what(one: "reservation_pb2.Reservation") -> str:
    """As in `16 H100 on 2 nodes`."""
    gpus: dict[str, int] = {}
    for part in one.parts:
        if part.gpu_count:
            gpus[part.gpu_type] = gpus.get(part.gpu_type, 0) + part.gpu_count
    words = ", ".join(f"{count} {name}" for name, count in sorted(gpus.items()))
    on = "1 node" if len(one.parts) == 1 else f"{len(one.parts)} nodes"
    return f"{words} on {on}" if words else f"parts of {on}"


def _part(part: "reservation_pb2.ReservedPart") -> str:
    words = [
        f"{part.gpu_count} {part.gpu_type}" if part.gpu_count else "",
        f"{format_cpu_millis(part.cpu_millis)} CPUs" if part.cpu_millis else "",
        format_bytes(part.memory_bytes) if part.memory_bytes else "",
    ]
    return ", ".join(filter(None, words))
