"""Nodes as people read them: many in a table, or one with everything about it."""

from typing import TYPE_CHECKING

from windlass_client.cli.output import ago, cell, moment, status_cell, table
from windlass_client.quantities import format_bytes, format_cpu_millis

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.table import Table

    from windlass.resources.v1 import node_pb2


def node_events_table(events: "Sequence[node_pb2.NodeEvent]") -> "Table":
    """A line for each event."""
    from windlass.resources.v1 import node_pb2

    made = table("TIME", "STATUS", "REASON", "ACTOR", "MESSAGE")
    for event in events:
        made.add_row(
            cell(moment(event.time)),
            status_cell(node_pb2.Node.Status.Name(event.status)),
            cell(event.reason),
            cell(event.actor),
            cell(event.message),
        )
    return made


def nodes_table(nodes: "Sequence[node_pb2.Node]", now: "datetime") -> "Table":
    """A line for each node."""
    from windlass.resources.v1 import node_pb2

    right = ["GPUS FREE", "CPUS FREE", "MEMORY FREE", "RUNS"]
    made = table(
        "NODE", "NAME", "STATUS", "POOL", "GPU", *right, "ISOLATION", "SEEN", "WRONG",
        right=[*right, "SEEN"],
    )  # fmt: skip
    for node in nodes:
        has, free = _handed_out(node), node.available
        made.add_row(
            cell(node.node_id),
            cell(node.name),
            status_cell(node_pb2.Node.Status.Name(node.status)),
            cell(node.pool_id),
            cell(", ".join(sorted({gpu.gpu_type for gpu in node.gpus}))),
            cell(f"{free.gpu_count}/{has.gpu_count}"),
            cell(f"{format_cpu_millis(free.cpu_millis)}/{format_cpu_millis(has.cpu_millis)}"),
            cell(f"{format_bytes(free.memory_bytes)}/{format_bytes(has.memory_bytes)}"),
            cell(len(node.runs)),
            cell(_level(node)),
            cell(ago(node.last_seen_time, now)),
            cell(_wrong(node), "red"),
        )
    return made


def _wrong(node: "node_pb2.Node") -> str:
    """The reasons of what is not as it should be; `nodes get` says more. The status says the rest."""
    from windlass.resources.v1 import node_pb2

    return ", ".join(
        one.reason
        for one in node.conditions
        if one.status == node_pb2.NodeCondition.FALSE and one.type != "AgentConnected"
    )


def _handed_out(node: "node_pb2.Node") -> "node_pb2.Capacity":
    """What of it may be handed out; an earlier server does not say."""
    return node.allocatable if node.HasField("allocatable") else node.capacity


def node_table(node: "node_pb2.Node", now: "datetime") -> "Table":
    """Everything about a node, then its GPUs."""
    from rich.table import Table

    from windlass_client.cli.devices import (
        card_table,
        condition_table,
        device_table,
        fault_table,
    )
    from windlass_client.cli.top import gpu_table

    facts = table("", "")
    facts.show_header = False
    for heading, value in _facts(node, now):
        if value:
            facts.add_row(cell(heading, "bold"), cell(value))
    made = Table.grid()
    parts = [facts]
    if node.conditions:
        parts.append(condition_table(node, now))
    if node.gpus:
        parts += [gpu_table([node]), device_table(node)]
    maybe = (card_table(node, now), fault_table(node, now))
    parts += [part for part in maybe if part is not None]
    for number, part in enumerate(parts):
        if number:
            made.add_row("")
        made.add_row(part)
    return made


def _facts(node: "node_pb2.Node", now: "datetime") -> "list[tuple[str, str]]":
    from windlass.resources.v1 import node_pb2

    has, free, host = _handed_out(node), node.available, node.host
    return [
        ("node", node.node_id),
        ("name", node.name),
        ("status", node_pb2.Node.Status.Name(node.status)),
        ("why", " ".join(filter(None, (node.status_reason, node.status_message)))),
        ("maintenance", _maintenance(node, now)),
        ("cluster", node.cluster),
        ("pool", node.pool_id),
        ("zone", node.zone),
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
        ("driver", _driver(node)),
        ("agent", node.agent_version),
        ("joined", moment(node.create_time)),
        ("seen", f"{ago(node.last_seen_time, now)} ago"),
    ]


def _maintenance(node: "node_pb2.Node", now: "datetime") -> str:
    """Since when, by whom and why the node takes nothing new, and how far its drain is."""
    from windlass.resources.v1 import node_pb2

    kept = node.maintenance
    if kept.state in (node_pb2.Maintenance.STATE_UNSPECIFIED, node_pb2.Maintenance.OPEN):
        return ""
    said = f"{node_pb2.Maintenance.State.Name(kept.state)} for {ago(kept.start_time, now)}"
    said += f" by {kept.actor}" + (f": {kept.reason}" if kept.reason else "")
    if kept.state != node_pb2.Maintenance.DRAINING:
        return said
    said += f"; {node_pb2.Maintenance.DrainMode.Name(kept.mode)}"
    said += f", {kept.runs_left} of {kept.runs_at_start} runs left"
    return said + (
        f", ends by {moment(kept.estimated_end_time)}"
        if kept.HasField("estimated_end_time")
        else ""
    )


def _driver(node: "node_pb2.Node") -> str:
    driver = node.gpu_driver
    cuda = f"CUDA {driver.cuda_version}" if driver.cuda_version else ""
    return ", ".join(filter(None, (node.gpu_driver_version, cuda)))


def _level(node: "node_pb2.Node") -> str:
    from windlass.types.v1 import types_pb2

    if not node.isolation.level:
        return ""
    return types_pb2.Isolation.Level.Name(node.isolation.level)
