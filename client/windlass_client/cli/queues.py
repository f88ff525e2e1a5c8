"""`windlass queues …`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from windlass_client.cli.output import cell, moment, table
from windlass_client.cli.session import Session, command, group
from windlass_client.quantities import format_cpu_millis, format_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from windlass.jobs.v1 import queue_pb2


def list_queues(session: Session) -> None:
    """List the queues, with what waits and runs in each."""
    from windlass.jobs.v1 import queues_service_pb2

    queues = list(session.client.queues.list(page_size=1000))
    page = queues_service_pb2.ListQueuesResponse(queues=queues)
    session.answer(page, lambda: queues_table(queues))


app = group(
    "queues",
    list_queues,
    help="Where jobs wait: limits, defaults and who may submit.",
    examples=["windlass queues", "windlass queues create nightly --limit running=4,time=8h"],
)
command(app, "list", examples=["windlass queues list", "windlass queues list -o json"])(list_queues)

QueueArgument = Annotated[
    str, typer.Argument(metavar="QUEUE", help="Its name.", show_default=False)
]
LimitOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LIMITS",
        help="queued=500, running=20, queued-per-user=50, running-per-user=4, time=4h, nodes=2, gpus=8.",
        show_default=False,
    ),
]
DefaultOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="DEFAULTS",
        help="priority=10, time=1h, pool=h100, preemptible=no, attempts=3.",
        show_default=False,
    ),
]
DescriptionOption = Annotated[
    str | None, typer.Option(help="What it is for, for people.", show_default=False)
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A project whose jobs it takes; repeatable. Default: of all.", show_default=False
    ),
]
UserOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-user",
        help="A user whose jobs it takes; repeatable. Default: all.",
        show_default=False,
    ),
]
RoleOption = Annotated[
    str | None,
    typer.Option(
        metavar="ROLE", help="Only callers with this role, such as ADMIN.", show_default=False
    ),
]

_CREATE_HELP = """Make a queue.

[bold]Examples:[/bold]

    windlass queues create nightly --limit running=4,queued=500,time=8h --default priority=-10

    windlass queues create vision --allow vision --allow speech --limit gpus=8 --default pool=h100,time=1h

    windlass queues create urgent --min-role ADMIN --default priority=100,preemptible=no"""


@command(app, "create", help=_CREATE_HELP)
def create(
    session: Session,
    queue: QueueArgument,
    limit: LimitOption = None,
    default: DefaultOption = None,
    description: DescriptionOption = None,
    allow: AllowOption = None,
    allow_user: UserOption = None,
    min_role: RoleOption = None,
) -> None:
    """See `_CREATE_HELP`."""
    wanted, _ = _wanted(queue, limit, default, description, allow, allow_user, min_role)
    made = session.client.queues.create(
        queue,
        description=wanted.description,
        limits=wanted.limits,
        defaults=wanted.defaults,
        allowed_projects=wanted.allowed_projects,
        allowed_users=wanted.allowed_users,
        min_role=wanted.min_role,
    )
    session.answer(made, lambda: made.queue_id)


_SET_HELP = """Change what is given of a queue, as a whole; what is there already stays.

[bold]none[/bold] takes what is said away; --allow-all lets everybody submit to it.

[bold]Examples:[/bold]

    windlass queues set nightly --limit running=8,queued=500,time=8h

    windlass queues set nightly --limit none --description "whenever there is room"

    windlass queues set vision --allow-all"""


@command(app, "set", help=_SET_HELP)
def set_queue(
    session: Session,
    queue: QueueArgument,
    limit: LimitOption = None,
    default: DefaultOption = None,
    description: DescriptionOption = None,
    allow: AllowOption = None,
    allow_user: UserOption = None,
    min_role: RoleOption = None,
    allow_all: Annotated[bool, typer.Option("--allow-all", help="It is for everybody.")] = False,
) -> None:
    """See `_SET_HELP`."""
    wanted, fields = _wanted(queue, limit, default, description, allow, allow_user, min_role)
    if allow_all:
        fields += [
            name for name in ("allowed_projects", "allowed_users", "min_role") if name not in fields
        ]
    if not fields:
        raise typer.BadParameter("say what to change, such as --limit running=8")
    now = session.client.queues.update(wanted, fields)
    session.answer(now, lambda: queue_table(now))


@command(app, "get", examples=["windlass queues get nightly"])
def get(session: Session, queue: QueueArgument) -> None:
    """Show a queue."""
    found = session.client.queues.get(queue)
    session.answer(found, lambda: queue_table(found))


@command(app, "pause", examples=["windlass queues pause nightly"])
def pause(session: Session, queue: QueueArgument) -> None:
    """Let a queue take jobs and start none; what runs goes on."""
    _set_state(session, queue, "PAUSED")


@command(app, "close", examples=["windlass queues close nightly"])
def close(session: Session, queue: QueueArgument) -> None:
    """Let a queue take no more jobs; those that wait in it start."""
    _set_state(session, queue, "CLOSED")


@command(app, "open", examples=["windlass queues open nightly"])
def open_queue(session: Session, queue: QueueArgument) -> None:
    """Let a queue that was paused or closed take jobs, and let them start."""
    _set_state(session, queue, "OPEN")


@command(
    app,
    "delete",
    examples=["windlass queues delete nightly", "windlass queues delete nightly --move-to default"],
)
def delete(
    session: Session,
    queue: QueueArgument,
    move_to: Annotated[
        str, typer.Option(metavar="QUEUE", help="Where its jobs go that have not ended.")
    ] = "",
) -> None:
    """Remove a queue, in which there must be no jobs that have not ended unless it is said where they go."""
    gone = session.client.queues.delete(queue, move_to=move_to)
    session.answer(gone, lambda: f"{gone.queue_id} deleted")


@command(app, "events", examples=["windlass queues events nightly"])
def events(session: Session, queue: QueueArgument) -> None:
    """List who changed what of a queue, oldest first; also of one that was removed."""
    from windlass.jobs.v1 import queues_service_pb2

    found = list(session.client.queues.events(queue, page_size=1000))
    page = queues_service_pb2.ListQueueEventsResponse(events=found)
    session.answer(page, lambda: events_table(found), nothing="" if found else "no events")


def _set_state(session: Session, queue: str, state: str) -> None:
    from windlass_client.queues import Queue

    now = session.client.queues.update(Queue(queue_id=queue, state=state), ["state"])
    session.answer(now, lambda: f"{now.queue_id} is {state.lower()}")


def _wanted(
    queue: str,
    limit: list[str] | None,
    default: list[str] | None,
    description: str | None,
    allow: list[str] | None,
    allow_user: list[str] | None,
    min_role: str | None,
) -> "tuple[queue_pb2.Queue, list[str]]":
    """A queue with what is given, and the fields that are."""
    from windlass.access.v1 import access_pb2
    from windlass_client.queues import Queue, parse_defaults, parse_limits

    given: dict[str, Any] = {
        "description": description,
        "limits": None if limit is None else parse_limits(limit),
        "defaults": None if default is None else parse_defaults(default),
        "allowed_projects": allow,
        "allowed_users": allow_user,
    }
    if min_role is not None:
        roles = access_pb2.Role.keys()[1:]
        if min_role.upper() not in roles:
            raise typer.BadParameter(f"{min_role!r} is none of {', '.join(roles)}")
        given["min_role"] = access_pb2.Role.Value(min_role.upper())
    said = {name: value for name, value in given.items() if value is not None}
    return Queue(queue_id=queue, **said), list(said)


def queues_table(queues: "Sequence[queue_pb2.Queue]") -> "Table":
    """A line for each queue."""
    right = ["QUEUED", "RUNNING"]
    made = table("QUEUE", "STATE", *right, "FOR", "LIMITS", "DEFAULTS", right=right)
    for one in queues:
        open_ = one.state == one.OPEN
        made.add_row(
            cell(one.queue_id),
            cell(_state(one), "" if open_ else "yellow"),
            cell(str(one.queued_jobs)),
            cell(str(one.running_jobs)),
            cell(_for(one)),
            cell(_limits(one.limits) or "-"),
            cell(_defaults(one.defaults) or "-"),
        )
    return made


def queue_table(one: "queue_pb2.Queue") -> "Table":
    """Everything about a queue."""
    made = table("", "")
    made.show_header = False
    for heading, value in (
        ("queue", one.queue_id),
        ("description", one.description),
        ("state", _state(one)),
        ("queued", str(one.queued_jobs)),
        ("running", str(one.running_jobs)),
        ("for", _for(one)),
        ("limits", _limits(one.limits)),
        ("defaults", _defaults(one.defaults)),
        ("changed", moment(one.update_time)),
    ):
        if value:
            made.add_row(cell(heading, "bold"), cell(value))
    return made


def events_table(found: "Sequence[queue_pb2.QueueEvent]") -> "Table":
    """A line for each change."""
    made = table("TIME", "WHO", "WHAT", "DIFFERENCE")
    for one in found:
        made.add_row(cell(moment(one.time)), cell(one.actor), cell(one.reason), cell(one.message))
    return made


def _state(one: "queue_pb2.Queue") -> str:
    from windlass_client.queues import Queue

    return Queue.State.Name(one.state).lower()


def _for(one: "queue_pb2.Queue") -> str:
    """Who may submit to it."""
    if not one.restricted:
        return "all"
    from windlass.access.v1 import access_pb2

    parts = [
        ", ".join(one.allowed_projects),
        ", ".join(f"user {user}" for user in one.allowed_users),
    ]
    if one.min_role:
        parts.append(f"role {access_pb2.Role.Name(one.min_role)}")
    return "; ".join(part for part in parts if part) or "others"


def _limits(limits: "queue_pb2.QueueLimits") -> str:
    """As they are written."""
    words = {
        "queued_jobs": "queued",
        "running_jobs": "running",
        "queued_jobs_per_user": "queued-per-user",
        "running_jobs_per_user": "running-per-user",
        "nodes_per_job": "nodes",
    }
    parts = [
        f"{word}={getattr(limits, name)}" for name, word in words.items() if limits.HasField(name)
    ]
    if limits.HasField("time_limit"):
        parts.append(f"time={format_span(limits.time_limit.ToTimedelta().total_seconds())}")
    if limits.HasField("gpu_millis_per_job"):
        parts.append(f"gpus={format_cpu_millis(limits.gpu_millis_per_job)}")
    return ",".join(parts)


def _defaults(defaults: "queue_pb2.QueueDefaults") -> str:
    """As they are written."""
    parts = []
    if defaults.HasField("priority"):
        parts.append(f"priority={defaults.priority}")
    if defaults.HasField("time_limit"):
        parts.append(f"time={format_span(defaults.time_limit.ToTimedelta().total_seconds())}")
    if defaults.pool:
        parts.append(f"pool={defaults.pool}")
    if defaults.HasField("preemptible"):
        parts.append(f"preemptible={'yes' if defaults.preemptible else 'no'}")
    if defaults.HasField("retry"):
        parts.append(f"attempts={defaults.retry.max_attempts}")
    return ",".join(parts)
