"""`windlass nodes …` and `windlass node-token`."""

from typing import TYPE_CHECKING, Annotated

import typer

from windlass_client.cli.output import ago, cell, moment, say, status_cell, table
from windlass_client.cli.session import Session, command, group
from windlass_client.quantities import format_bytes, format_cpu_millis

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.table import Table

    from windlass.resources.v1 import node_pb2


def list_nodes(session: Session) -> None:
    """List the nodes with what they have and what is free."""
    from windlass.resources.v1 import resources_service_pb2

    nodes = list(session.client.nodes.list(page_size=1000))
    page = resources_service_pb2.ListNodesResponse(nodes=nodes)
    session.answer(page, lambda: nodes_table(nodes, session.now()))


app = group("nodes", list_nodes, help="Show the machines; without a command: list them.")
command(app, "list")(list_nodes)


@command(app, "get")
def get(
    session: Session, node_id: Annotated[str, typer.Argument(metavar="NODE", show_default=False)]
) -> None:
    """Show a node and its GPUs."""
    node = session.client.nodes.get(node_id)
    session.answer(node, lambda: node_table(node, session.now()))


_JOIN_HELP = """Make a token with which one machine can join once, and print it.

[bold]Example:[/bold]

    WINDLASS_JOIN_TOKEN=$(windlass node-token) windlass agent --server 10.0.0.5:50051"""


def register_join_token(app: typer.Typer) -> None:
    """Add `windlass node-token`."""
    command(app, "node-token", help=_JOIN_HELP)(node_token)


def node_token(
    session: Session,
    lifetime: Annotated[
        str | None, typer.Option(help="Such as 10m; default 1h, at most 7d.")
    ] = None,
) -> None:
    """See `_JOIN_HELP`."""
    token = session.client.nodes.create_join_token(lifetime=lifetime)
    session.answer(token, lambda: token.token)
    say(f"good for one machine until {moment(token.expire_time)}")


def nodes_table(nodes: "Sequence[node_pb2.Node]", now: "datetime") -> "Table":
    """A line for each node."""
    from windlass.resources.v1 import node_pb2

    right = ["GPUS FREE", "CPUS FREE", "MEMORY FREE", "RUNS"]
    made = table(
        "NODE", "NAME", "STATUS", "GPU", *right, "ISOLATION", "SEEN", right=[*right, "SEEN"]
    )
    for node in nodes:
        has, free = node.capacity, node.available
        made.add_row(
            cell(node.node_id),
            cell(node.name),
            status_cell(node_pb2.Node.Status.Name(node.status)),
            cell(", ".join(sorted({gpu.gpu_type for gpu in node.gpus}))),
            cell(f"{free.gpu_count}/{has.gpu_count}"),
            cell(f"{format_cpu_millis(free.cpu_millis)}/{format_cpu_millis(has.cpu_millis)}"),
            cell(f"{format_bytes(free.memory_bytes)}/{format_bytes(has.memory_bytes)}"),
            cell(len(node.runs)),
            cell(_level(node)),
            cell(ago(node.last_seen_time, now)),
        )
    return made


def node_table(node: "node_pb2.Node", now: "datetime") -> "Table":
    """Everything about a node, then its GPUs."""
    from rich.table import Table

    from windlass_client.cli.top import gpu_table

    facts = table("", "")
    facts.show_header = False
    for heading, value in _facts(node, now):
        if value:
            facts.add_row(cell(heading, "bold"), cell(value))
    made = Table.grid()
    made.add_row(facts)
    if node.gpus:
        made.add_row("")
        made.add_row(gpu_table([node]))
    return made


def _facts(node: "node_pb2.Node", now: "datetime") -> "list[tuple[str, str]]":
    from windlass.resources.v1 import node_pb2

    has, free, host = node.capacity, node.available, node.host
    return [
        ("node", node.node_id),
        ("name", node.name),
        ("status", node_pb2.Node.Status.Name(node.status)),
        ("why", " ".join(filter(None, (node.status_reason, node.status_message)))),
        ("labels", ", ".join(f"{k}={v}" for k, v in sorted(node.labels.items()))),
        ("gpus", f"{free.gpu_count} of {has.gpu_count} free"),
        (
            "cpus",
            f"{format_cpu_millis(free.cpu_millis)} of {format_cpu_millis(has.cpu_millis)} free",
        ),
        (
            "memory",
            f"{format_bytes(free.memory_bytes)} of {format_bytes(has.memory_bytes)} free",
        ),
        ("load", f"{host.load_1m:.2f}" if node.HasField("host") else ""),
        ("isolation", _level(node)),
        ("degraded", node.isolation.degraded_reason),
        ("driver", node.gpu_driver_version),
        ("agent", node.agent_version),
        ("joined", moment(node.create_time)),
        ("seen", f"{ago(node.last_seen_time, now)} ago"),
    ]


def _level(node: "node_pb2.Node") -> str:
    from windlass.types.v1 import types_pb2

    if not node.isolation.level:
        return ""
    return types_pb2.Isolation.Level.Name(node.isolation.level)
