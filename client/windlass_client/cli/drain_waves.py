"""`windlass drains …`: emptying many machines, a few at a time."""

import time
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.drains import counted_bars
from windlass_client.cli.output import ago, cell, moment, say, status_cell, table
from windlass_client.cli.session import EXIT_FAILED, Session, command, group

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.table import Table

    from windlass.resources.v1 import drain_pb2
    from windlass_client import Client

_LOOK_EVERY_SECONDS = 1.0

DrainArgument = Annotated[str, typer.Argument(metavar="DRAIN", show_default=False)]
AfterwardsOption = Annotated[
    str,
    typer.Option(
        help="What becomes of an empty node: stay-drained, await-uncordon or uncordon.",
        autocompletion=lambda: ["stay-drained", "await-uncordon", "uncordon"],
    ),
]


def list_drains(
    session: Session,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Also those that have ended.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 lists all.")] = 50,
) -> None:
    """List the drains of many nodes, newest first."""
    from windlass.resources.v1 import drain_pb2, resources_service_pb2

    found = session.client.drains.list(status=None if everything else drain_pb2.Drain.RUNNING)
    drains = list(islice(found, limit) if limit else found)
    page = resources_service_pb2.ListDrainsResponse(drains=drains)
    over = "" if everything else "; --all lists also those that have ended"
    nothing = "" if drains else f"no drains{over}"
    session.answer(page, lambda: drains_table(drains, session.now()), nothing=nothing)


app = group(
    "drains",
    list_drains,
    help="Drains of many nodes, a few at a time.",
    examples=["windlass drains create --label rack=7 --max-unavailable 2", "windlass drains"],
)
command(app, "list", examples=["windlass drains list", "windlass drains list --all --limit 0"])(
    list_drains
)

_CREATE_HELP = """Drain all nodes that are like this, a few at a time, and print the drain's id.

Nodes by name: windlass nodes drain.

[bold]Examples:[/bold]

    windlass drains create --label rack=7 --max-unavailable 2 --mode checkpoint-requeue

    windlass drains create --gpu-type H100 --afterwards await-uncordon --reason driver --wait"""


@command(app, "create", help=_CREATE_HELP)
def create(
    session: Session,
    cluster: Annotated[str, typer.Option(help="Nodes of a cluster.")] = "",
    zone: Annotated[str, typer.Option(help="Nodes in a zone.")] = "",
    gpu_type: Annotated[str, typer.Option(help="Nodes with a GPU such as H100.")] = "",
    pool: Annotated[str, typer.Option(help="Nodes of a pool.")] = "",
    label: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE that they carry; repeatable.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every node that there is.")] = False,
    max_unavailable: Annotated[
        int, typer.Option(min=1, help="How many may be closed at once.")
    ] = 1,
    afterwards: AfterwardsOption = "stay-drained",
    mode: Annotated[
        str,
        typer.Option(
            help="What becomes of what runs there: wait, checkpoint-requeue or force.",
            autocompletion=lambda: ["wait", "checkpoint-requeue", "force"],
        ),
    ] = "wait",
    deadline: Annotated[
        str | None, typer.Option(help="Stop what is left on a node after, such as 10m.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for those who see the nodes.")] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when it has ended, with progress.")
    ] = False,
) -> None:
    """See `_CREATE_HELP`."""
    from windlass_client.cli.nodes import pairs
    from windlass_client.drains import parse_afterwards
    from windlass_client.nodes import parse_drain_mode

    drain = session.client.drains.create(
        cluster=cluster,
        zone=zone,
        gpu_type=gpu_type,
        pool=pool,
        labels=pairs(label or ()),
        every=every,
        mode=parse_drain_mode(mode),
        deadline=deadline,
        reason=reason,
        max_unavailable=max_unavailable,
        afterwards=parse_afterwards(afterwards),
    )
    answer(session, drain, wait=wait)


def answer(session: Session, drain: "drain_pb2.Drain", *, wait: bool) -> None:
    """Show a drain that was begun, with `wait` as it is in the end; exits with 1 when that is early."""
    from windlass.resources.v1 import drain_pb2

    if not wait:
        session.answer(drain, lambda: drain.drain_id)
        return
    ended = watch(session.client, drain)
    session.answer(ended, lambda: drain_table(ended))
    if ended.status != drain_pb2.Drain.COMPLETED:
        say("the drain was cancelled before it was done")
        raise typer.Exit(EXIT_FAILED)


@command(app, "get", examples=["windlass drains get drain-01k0…"])
def get(session: Session, drain: DrainArgument) -> None:
    """Show how far a drain is, node by node."""
    found = session.client.drains.get(drain)
    session.answer(found, lambda: drain_table(found))


@command(app, "cancel", examples=["windlass drains cancel drain-01k0…"])
def cancel(session: Session, drain: DrainArgument) -> None:
    """End a drain: nodes that are not empty yet are opened, those that are stay closed."""
    from windlass.resources.v1 import drain_pb2

    ended = session.client.drains.cancel(drain)
    status = drain_pb2.Drain.Status.Name(ended.status)
    session.answer(ended, lambda: f"{ended.drain_id} {status}")


def watch(
    client: "Client", drain: "drain_pb2.Drain", *, sleep: Callable[[float], None] = time.sleep
) -> "drain_pb2.Drain":
    """Look at a drain until it has ended; shows progress on a terminal. Returns it as it is then."""
    from windlass.resources.v1 import drain_pb2

    with counted_bars("nodes done") as progress:
        bar = progress.add_task(drain.drain_id, total=drain.node_count)
        while drain.status == drain_pb2.Drain.RUNNING:
            progress.update(bar, completed=drain.done_count)
            sleep(_LOOK_EVERY_SECONDS)
            drain = client.drains.get(drain.drain_id)
        progress.update(bar, completed=drain.done_count)
    return drain


def drains_table(drains: "Sequence[drain_pb2.Drain]", now: "datetime") -> "Table":
    """A line for each drain."""
    from windlass.resources.v1 import drain_pb2

    right = ["WAIT", "CLOSED", "DONE"]
    made = table("DRAIN", "STATUS", *right, "AT ONCE", "BEGAN", "REASON", right=right)
    for one in drains:
        made.add_row(
            cell(one.drain_id),
            status_cell(drain_pb2.Drain.Status.Name(one.status)),
            cell(one.waiting_count),
            cell(one.draining_count),
            cell(one.done_count),
            cell(one.max_unavailable),
            cell(ago(one.create_time, now)),
            cell(one.reason),
        )
    return made


def drain_table(drain: "drain_pb2.Drain") -> "Table":
    """A line for each node of a drain."""
    from windlass.resources.v1 import drain_pb2

    made = table("NODE", "NAME", "STATE", "RUNS LEFT", "BEGAN", "DONE", right=["RUNS LEFT"])
    status = drain_pb2.Drain.Status.Name(drain.status)
    words = f": {drain.reason}" if drain.reason else ""
    made.title = (
        f"{drain.drain_id} {status}, {drain.done_count} of {drain.node_count} nodes done{words}"
    )
    for node in drain.nodes:
        made.add_row(
            cell(node.node_id),
            cell(node.name),
            cell(drain_pb2.DrainedNode.State.Name(node.state)),
            cell(node.runs_left or ""),
            cell(moment(node.start_time) if node.HasField("start_time") else ""),
            cell(moment(node.end_time) if node.HasField("end_time") else ""),
        )
    return made
