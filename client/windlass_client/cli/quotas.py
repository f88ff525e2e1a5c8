"""`windlass quotas …`."""

from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.output import bar, cell, moment, table
from windlass_client.cli.session import Session, command, group
from windlass_client.quantities import format_bytes, format_cpu_millis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from google.protobuf.message import Message
    from rich.table import Table

    from windlass.access.v1 import quota_pb2

# What is counted, how a table calls it, and how it writes amounts.
_COUNTED: "dict[str, tuple[str, Callable[[int], str]]]" = {
    "gpu_millis": ("GPUs", format_cpu_millis),
    "cpu_millis": ("CPUs", format_cpu_millis),
    "memory_bytes": ("memory", format_bytes),
    "running_jobs": ("jobs running", str),
    "queued_jobs": ("jobs queued", str),
    "artifact_bytes": ("artifacts", format_bytes),
}

UserOption = Annotated[str, typer.Option(help="Of this user in the project.")]
TypeOption = Annotated[str, typer.Option(help="Of this type of GPU, such as H100.")]


def list_quotas(session: Session, user: UserOption = "", gpu_type: TypeOption = "") -> None:
    """List the quotas and what is had of them; with --project those of one project."""
    from windlass.access.v1 import access_service_pb2

    quotas = list(
        session.client.quotas.list(
            project=session.shared.project or "", user=user, gpu_type=gpu_type, page_size=1000
        )
    )
    page = access_service_pb2.ListQuotasResponse(quotas=quotas)
    session.answer(page, lambda: quotas_table(quotas), nothing="" if quotas else "no quotas")


app = group(
    "quotas",
    list_quotas,
    help="How much projects and users may have at once.",
    examples=["windlass quotas", "windlass quotas set vision --guaranteed gpus=8 --borrow gpus=4"],
)
command(
    app,
    "list",
    examples=["windlass quotas list", "windlass quotas list --project vision --user ann -o json"],
)(list_quotas)

QuotaArgument = Annotated[str, typer.Argument(metavar="QUOTA", show_default=False)]

_SET_HELP = """Say what a project, or one user in it, may have at once.

Amounts are such as gpus=8, cpus=64, memory=256GiB; a limit may also say running=20 and queued=500 jobs, and
artifacts=1TiB.
What is set below what is held stays, and nothing new starts until enough of it has ended. An option that
is not given leaves what it says as it is; [bold]none[/bold] takes it away.

[bold]Examples:[/bold]

    windlass quotas set vision --guaranteed gpus=8 --borrow gpus=4

    windlass quotas set vision --limit gpus=16,running=20,queued=500

    windlass quotas set vision --gpu-type H100 --guaranteed gpus=8 --borrow gpus=0

    windlass quotas set vision --user ann --limit gpus=2

    windlass quotas set vision --max-priority 100

    windlass quotas set vision --limit none"""


@command(app, "set", help=_SET_HELP)
def set_quota(
    session: Session,
    owner: Annotated[str, typer.Argument(metavar="PROJECT", show_default=False)],
    user: UserOption = "",
    gpu_type: TypeOption = "",
    guaranteed: Annotated[
        list[str] | None,
        typer.Option(metavar="AMOUNTS", help="What it can count on.", show_default=False),
    ] = None,
    borrow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AMOUNTS",
            help="How much more it may have of what others leave idle; default any.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="AMOUNTS", help="The most in all.", show_default=False),
    ] = None,
    cohort: Annotated[
        str | None,
        typer.Option(
            help="Lends to and borrows from those that name the same.", show_default=False
        ),
    ] = None,
    max_priority: Annotated[
        int | None,
        typer.Option(
            min=-1000,
            max=1000,
            help="The highest priority that its jobs can be given.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """See `_SET_HELP`."""
    from windlass_client.quotas import Quota, parse_amounts, parse_limits

    wanted = Quota(project=owner, user=user, gpu_type=gpu_type, cohort=cohort or "")
    for field, texts, parse in (
        ("guaranteed", guaranteed, parse_amounts),
        ("borrowing_limit", borrow, parse_amounts),
        ("limit", limit, parse_limits),
    ):
        if texts is not None:
            getattr(wanted, field).CopyFrom(parse(texts))
    fields = [name for name in ("guaranteed", "borrowing_limit", "limit") if wanted.HasField(name)]
    fields += ["cohort"] if cohort is not None else []
    if max_priority is not None:
        wanted.max_priority = max_priority
        fields.append("max_priority")
    there = _existing(session, wanted)
    if there is None:
        made = _create(session, wanted)
    else:
        wanted.quota_id = there.quota_id
        made = session.client.quotas.update(wanted, fields)
    session.answer(made, lambda: quotas_table([made]))


@command(app, "get", examples=["windlass quotas get quota-01k0…"])
def get(session: Session, quota: QuotaArgument) -> None:
    """Show a quota."""
    found = session.client.quotas.get(quota)
    session.answer(found, lambda: quota_table(found))


@command(app, "delete", examples=["windlass quotas delete quota-01k0…"])
def delete(session: Session, quota: QuotaArgument) -> None:
    """Remove a quota: nothing bounds its owner any more, and nothing is guaranteed."""
    gone = session.client.quotas.delete(quota)
    session.answer(gone, lambda: f"{gone.quota_id} deleted")


@command(app, "events", examples=["windlass quotas events quota-01k0…"])
def events(session: Session, quota: QuotaArgument) -> None:
    """List who changed what of a quota, oldest first; also of one that was removed."""
    from windlass.access.v1 import access_service_pb2

    found = list(session.client.quotas.events(quota, page_size=1000))
    page = access_service_pb2.ListQuotaEventsResponse(events=found)
    session.answer(page, lambda: events_table(found), nothing="" if found else "no events")


def _existing(session: Session, wanted: "quota_pb2.Quota") -> "quota_pb2.Quota | None":
    """The quota of that project, user and type."""
    owner = wanted.user, wanted.gpu_type.casefold()
    some = session.client.quotas.list(project=wanted.project, user=wanted.user, page_size=1000)
    return next((one for one in some if (one.user, one.gpu_type.casefold()) == owner), None)


def _create(session: Session, wanted: "quota_pb2.Quota") -> "quota_pb2.Quota":
    return session.client.quotas.create(
        wanted.project,
        user=wanted.user,
        gpu_type=wanted.gpu_type,
        cohort=wanted.cohort,
        guaranteed=wanted.guaranteed if wanted.HasField("guaranteed") else None,
        borrowing_limit=wanted.borrowing_limit if wanted.HasField("borrowing_limit") else None,
        limit=wanted.limit if wanted.HasField("limit") else None,
        max_priority=wanted.max_priority if wanted.HasField("max_priority") else None,
    )


def quotas_table(quotas: "Sequence[quota_pb2.Quota]") -> "Table":
    """A line for each amount that a quota speaks of, and for the highest priority."""
    right = ["USED", "GUARANTEED", "MAY BORROW", "LIMIT"]
    made = table("QUOTA", "PROJECT", "USER", "TYPE", "OF", right[0], "", *right[1:], right=right)
    ordered = sorted(quotas, key=lambda one: (one.project, one.user, one.gpu_type))
    for one in ordered:
        whose = (one.quota_id, one.project, one.user or "all", one.gpu_type or "-")
        for name, values in _amounts(one):
            heading, text = _COUNTED[name]
            used = getattr(one.use, name)
            made.add_row(
                *map(cell, whose),
                cell(heading),
                cell(text(used), "red" if one.exceeded else ""),
                bar(_share(used, values)),
                *(cell("-" if value is None else text(value)) for value in values),
            )
        if one.HasField("max_priority"):
            most = str(one.max_priority)
            made.add_row(*map(cell, (*whose, "priority", "-", "", "-", "-", most)))
    return made


def quota_table(one: "quota_pb2.Quota") -> "Table":
    """Everything about a quota."""
    made = table("", "")
    made.show_header = False
    for heading, value in (
        ("quota", one.quota_id),
        ("project", one.project),
        ("user", one.user),
        ("gpu type", one.gpu_type),
        ("cohort", one.cohort),
        ("guaranteed", _text(one.guaranteed)),
        ("may borrow", _text(one.borrowing_limit)),
        ("limit", _text(one.limit)),
        ("max priority", str(one.max_priority) if one.HasField("max_priority") else ""),
        ("used", _text(one.use)),
        ("borrowed", _text(one.borrowed)),
        ("left to borrow", _text(one.borrowable)),
        ("exceeded", one.status_message),
        ("changed", moment(one.update_time)),
    ):
        if value:
            made.add_row(cell(heading, "bold"), cell(value))
    return made


def events_table(found: "Sequence[quota_pb2.QuotaEvent]") -> "Table":
    """A line for each change."""
    made = table("TIME", "WHO", "WHAT", "SINCE THEN")
    for one in found:
        made.add_row(cell(moment(one.time)), cell(one.actor), cell(one.reason), cell(one.message))
    return made


def _amounts(one: "quota_pb2.Quota") -> "Iterator[tuple[str, list[int | None]]]":
    """Of each amount that it speaks of what is guaranteed, may be borrowed, and is the most."""
    for name in _COUNTED:
        values = [_value(part, name) for part in (one.guaranteed, one.borrowing_limit, one.limit)]
        if any(value is not None for value in values):
            yield name, values


def _value(amounts: "Message", name: str) -> int | None:
    there = name in amounts.DESCRIPTOR.fields_by_name and amounts.HasField(name)
    return getattr(amounts, name) if there else None


def _share(used: int, values: "Sequence[int | None]") -> float:
    """Of the most that may be had, or without one of what is guaranteed."""
    guaranteed, borrowing, limit = values
    most = [] if limit is None else [limit]
    if guaranteed is not None:
        most.append(
            guaranteed + (borrowing or 0) if limit is None or borrowing is not None else limit
        )
    return used / min(most) if min(most) else float(bool(used))


def _text(amounts: "Message") -> str:
    """As in `8 GPUs, 64 CPUs`."""
    parts = []
    for field, value in amounts.ListFields():
        heading, text = _COUNTED[field.name]
        parts.append(text(value) if field.name == "memory_bytes" else f"{text(value)} {heading}")
    return ", ".join(parts)
