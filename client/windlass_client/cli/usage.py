"""`windlass usage`: what was held, by whom, and what of it was of no use."""

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.files import write_file
from windlass_client.cli.output import bar, cell, say, table
from windlass_client.cli.session import Session, command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table
    from rich.text import Text

    from windlass.resources.v1 import usage_pb2
    from windlass_client.usage import UsageFilter

_HOUR = Decimal(3600)
_BAR_WIDTH = 24
# What people write for the fields of the contract.
_NAMES = {"node": "node_id", "pool": "pool_id", "job": "holder_id", "holder": "holder_id"}
_HEADINGS = {"node_id": "NODE", "pool_id": "POOL", "holder_id": "HOLDER", "gpu_type": "GPU TYPE"}

_HELP = """Show what was held of the nodes: GPU, CPU and memory hours, and what of them was wasted.

What is held counts from the moment it is given until it is given back. FAILED is what was held by
runs that failed, PREEMPTED by runs that were stopped for others, IDLE by runs that had not started.
USED and KWH are of what was measured.

[bold]Examples:[/bold]

    windlass usage --by project,gpu_type --since 7d

    windlass usage --by user --by label:team --since 2026-11-01 --until 2026-12-01 --bucket 1d

    windlass usage --by holder --since 2026-11-01 --csv november.csv"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "usage", help=_HELP)(usage)


def usage(
    session: Session,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            metavar="NAME[,NAME...]",
            help="project, user, queue, node, pool, gpu_type, kind, holder or label:KEY; repeatable.",
        ),
    ] = None,
    since: Annotated[str, typer.Option(help="A span such as 7d, or a date; UTC.")] = "7d",
    until: Annotated[
        str | None, typer.Option(help="The same; default now.", show_default=False)
    ] = None,
    bucket: Annotated[
        str | None, typer.Option(help="A line for each span of this length, such as 1d.")
    ] = None,
    user: Annotated[str, typer.Option(help="Only of this principal.")] = "",
    queue: Annotated[str, typer.Option(help="Only jobs of this queue.")] = "",
    node: Annotated[str, typer.Option(help="Only on the node with this id.")] = "",
    pool: Annotated[str, typer.Option(help="Only on nodes that were in this pool.")] = "",
    gpu_type: Annotated[str, typer.Option(help="Only what held GPUs of this type.")] = "",
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", metavar="KEY=VALUE", help="Only with it; repeatable."),
    ] = None,
    csv: Annotated[
        str | None,
        typer.Option("--csv", metavar="FILE", help="Write the rows to a file; `-` is the output."),
    ] = None,
) -> None:
    """See `_HELP`."""
    from windlass.resources.v1 import price_pb2

    wanted: UsageFilter = {
        "start": session.moment(since),
        "end": session.moment(until) if until else None,
        "bucket": bucket,
        "user": user,
        "queue": queue,
        "node_id": node,
        "pool_id": pool,
        "gpu_type": gpu_type,
        "labels": label or (),
    }
    if csv is not None:
        write_file(csv, session.client.usage.export(group_by(by or []), **wanted))
        return
    found = session.client.usage.get(group_by(by or []), **wanted)
    session.answer(found, lambda: usage_table(found, bucketed=bucket is not None))
    for one in found.unpriced:
        what = f"{price_pb2.Price.Resource.Name(one.resource)} {one.gpu_type}".rstrip()
        say(f"{what} has no price for a part of this time; that part is in no cost")


def group_by(words: "Sequence[str]") -> list[str]:
    """The contract's names of what to break down by: `project,node` and `label:KEY` are taken."""
    names = [name for word in words for name in word.split(",") if name]
    return list(dict.fromkeys(_NAMES.get(name, name) for name in names))


def usage_table(found: "usage_pb2.Usage", *, bucketed: bool) -> "Table":
    """A line for each row, and one for the total."""
    names = list(found.group_by)
    headings = ["FROM"] * bucketed + [_HEADINGS.get(name, name.upper()) for name in names]
    right = ["GPU HOURS", "USED", "CPU HOURS", "GIB HOURS", "FAILED", "PREEMPTED", "IDLE", "KWH"]
    right += [found.currency] * bool(found.currency)
    made = table(*(headings or [""]), *right[:1], " ", *right[1:], right=right)
    field = _telling(found.total)
    most = max((_seconds(row.held, field) for row in found.rows), default=Decimal(0))
    for row in found.rows if headings else ():
        lead = [cell(_when(row))] * bucketed + [cell(_value(row, name)) for name in names]
        made.add_row(
            *lead, *_amounts(row, _picture(_seconds(row.held, field), most), found.currency)
        )
    blank = [cell("total", "bold"), *(cell("") for _ in headings[1:])]
    made.add_row(*blank, *_amounts(found.total, cell(""), found.currency))
    return made


def _picture(size: Decimal, most: Decimal) -> "Text":
    picture = bar(float(size / most) if most else 0.0, _BAR_WIDTH)
    picture.style = "cyan"
    return picture


def _value(row: "usage_pb2.UsageRow", name: str) -> str:
    key = name.removeprefix("label:")
    return (row.labels[key] if key != name else str(getattr(row, name))) or "-"


def _when(row: "usage_pb2.UsageRow") -> str:
    from datetime import UTC

    return row.start_time.ToDatetime(tzinfo=UTC).strftime("%Y-%m-%d %H:%M")


def _amounts(row: "usage_pb2.UsageRow", picture: "Text", currency: str) -> "list[Text]":
    wasted = (row.wasted_by_failure, row.wasted_by_preemption, row.wasted_by_hold)
    return [
        cell(_hours(row.held.gpu_seconds)),
        picture,
        _use(row.used),
        cell(_hours(row.held.cpu_core_seconds)),
        cell(_hours(row.held.memory_gib_seconds)),
        *(_share(row, lost) for lost in wasted),
        cell(_kilowatt_hours(row.used)),
        *[cell(f"{Decimal(row.held.cost or 0):,.2f}")] * bool(currency),
    ]


def _hours(seconds: str) -> str:
    return f"{Decimal(seconds or 0) / _HOUR:,.2f}"


def _use(used: "usage_pb2.MeasuredAmounts") -> "Text":
    """What share of the GPU time that was measured was used; of the cores where there were none."""
    for part, whole in (
        (used.gpu_seconds, used.measured_gpu_seconds),
        (used.cpu_core_seconds, used.measured_cpu_core_seconds),
    ):
        if Decimal(whole or 0):
            return cell(f"{100 * Decimal(part) / Decimal(whole):.0f}%")
    return cell("?", "dim")


def _kilowatt_hours(used: "usage_pb2.MeasuredAmounts") -> str:
    if not Decimal(used.energy_measured_gpu_seconds or 0):
        return "?"
    return f"{Decimal(used.energy_joules) / 1000 / _HOUR:,.3f}"


def _share(row: "usage_pb2.UsageRow", lost: "usage_pb2.ResourceAmounts") -> "Text":
    field = _telling(row)
    all_of_it, part = _seconds(row.held, field), _seconds(lost, field)
    return cell(f"{100 * part / all_of_it:.1f}%" if all_of_it else "", "red" if part else "dim")


def _telling(row: "usage_pb2.UsageRow") -> str:
    """What tells most of a row: its GPUs, or its cores where it held none."""
    return "gpu_seconds" if _seconds(row.held, "gpu_seconds") else "cpu_core_seconds"


def _seconds(amounts: "usage_pb2.ResourceAmounts", field: str) -> Decimal:
    return Decimal(getattr(amounts, field) or 0)
