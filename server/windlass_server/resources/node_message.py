"""A node as the API shows it: its row, what it says of itself, and its newest values."""

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from windlass.agents.v1.agent_pb2 import Series
from windlass.resources.v1 import node_pb2
from windlass_server.resources.capacity import facts_of
from windlass_server.resources.card_message import fill_layouts
from windlass_server.resources.gpu_message import (
    StillGpu,
    measured_part,
    processes_part,
    still_part,
    varint,
)
from windlass_server.resources.health_message import fill_conditions, shown_health
from windlass_server.resources.inventories import StandingGpu, standing
from windlass_server.resources.maintenance import State, estimated_end, shown
from windlass_server.resources.rules import free
from windlass_server.resources.service import NodeView
from windlass_server.storage.tables import EventRow
from windlass_server.telemetry.latest import LatestTelemetry, Values
from windlass_server.timestamps import set_time, to_proto

_GPUS = varint(node_pb2.Node.DESCRIPTOR.fields_by_name["gpus"].number << 3 | 2)


@dataclass(frozen=True, slots=True)
class StillNode:
    """What is shown of a node and stays while its row and what is on it do.

    Attributes:
        node: a `Node` without its GPUs, serialized.
        gpus: of each what its inventory says, and what stays of it.
    """

    node: bytes
    gpus: tuple[tuple[StandingGpu, StillGpu], ...]


def node_message(view: NodeView, latest: LatestTelemetry, now: int) -> node_pb2.Node:
    """The message at a time (µs); what nobody measured yet is left out."""
    unhealthy = latest.unhealthy(view.row.node_id)
    still = still_node(view, unhealthy, now)
    return node_pb2.Node.FromString(with_measured(still, view, latest))


def event_message(row: EventRow) -> node_pb2.NodeEvent:
    """What happened to a node once."""
    return node_pb2.NodeEvent(
        sequence=row.sequence,
        node_id=row.object_id,
        time=to_proto(row.at),
        actor=row.actor,
        status=row.status,  # type: ignore[arg-type]
        reason=row.reason,
        message=row.message,
    )


def still_node(
    view: NodeView, unhealthy: frozenset[str], now: int, *, listed: bool = False
) -> StillNode:
    """What stays of a node.

    Args:
        view: the node.
        unhealthy: the UUIDs of its GPUs of which it says that they cannot be given to jobs.
        now: of which only the time at which a drain should end depends, in microseconds.
        listed: its cards in the short form of lists.
    """
    row, has = view.row, standing(view.row.inventory)
    message = node_pb2.Node.FromString(has.listed if listed else has.node)
    _fill_row(message, view)
    going = fill_layouts(message, facts_of(row).cards, view.layouts)
    idle, health, gpus = 0, shown_health(row.health).gpus, []
    for one in has.gpus:
        part = still_part(one, health.get(one.uuid), view, reported=one.uuid in unhealthy)
        idle += part.available and one.uuid not in going
        gpus.append((one, part))
    message.available.cpu_millis = free(row.cpu_millis, row.cpu_held)
    message.available.memory_bytes = free(row.memory_bytes, row.memory_held)
    message.available.gpu_count = idle
    _fill_maintenance(message.maintenance, view, now)
    return StillNode(message.SerializeToString(), tuple(gpus))


def with_measured(still: StillNode, view: NodeView, latest: LatestTelemetry) -> bytes:
    """The whole `Node`, serialized, with its newest values."""
    said = latest.gpus(view.row.node_id)
    pieces = [still.node, _host(latest.host(view.row.node_id))]
    for one, part in still.gpus:
        values, processes = said.values.get(one.uuid), said.processes.get(one.uuid)
        gpu = part.alone if values is None else part.beneath + measured_part(one, values)
        if processes:
            gpu += processes_part(view, processes)
        pieces += (_GPUS, _length(len(gpu)), gpu)
    return b"".join(pieces)


_length = lru_cache(4096)(varint)


def _fill_row(message: node_pb2.Node, view: NodeView) -> None:
    row = view.row
    message.node_id = row.node_id
    message.name = row.name
    message.status = cast("node_pb2.Node.Status", int(shown(row.status, row.maintenance)))
    message.status_reason = row.status_reason
    message.status_message = row.status_message
    message.cluster = row.cluster
    message.pool_id = row.pool
    message.allocatable.cpu_millis = row.cpu_millis
    message.allocatable.memory_bytes = row.memory_bytes
    set_time(message.create_time, row.created_at)
    set_time(message.last_seen_time, row.last_seen_at)
    for run in view.runs:
        message.runs.add(run_id=run.run_id, job_id=run.job_id, gpu_uuids=run.gpu_uuids)
    fill_conditions(message, row)


def _fill_maintenance(message: node_pb2.Maintenance, view: NodeView, now: int) -> None:
    row = view.row
    message.state = cast("node_pb2.Maintenance.State", row.maintenance)
    message.reason = row.maintenance_reason
    message.actor = row.maintenance_actor
    set_time(message.start_time, row.maintenance_at or row.created_at)
    if row.drain_mode:
        message.mode = cast("node_pb2.Maintenance.DrainMode", row.drain_mode)
        message.runs_at_start, message.runs_left = row.drain_runs, len(view.leaving)
    if row.drain_deadline is not None:
        message.deadline_time.CopyFrom(to_proto(row.drain_deadline))
    if row.maintenance == State.DRAINING:
        end = estimated_end(view.leaving, row.drain_deadline, now)
        if end is not None:
            message.estimated_end_time.CopyFrom(to_proto(end))


def _host(values: Values | None) -> bytes:
    """What was measured of the machine itself, a serialized `Node`."""
    if values is None:
        return b""
    host = node_pb2.HostMetrics(
        cpu_used_millis=values.number(Series.CPU_USED_MILLIS),
        memory_used_bytes=values.whole(Series.MEMORY_USED_BYTES),
        memory_total_bytes=values.whole(Series.MEMORY_TOTAL_BYTES),
        load_1m=values.number(Series.LOAD_1M),
    )
    set_time(host.sample_time, values.sampled_at)
    return node_pb2.Node(host=host).SerializeToString()
