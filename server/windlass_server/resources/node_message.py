"""A node as the API shows it: its row, what it says of itself, and its newest values."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

from windlass.agents.v1.agent_pb2 import Series
from windlass.resources.v1 import node_pb2, resources_service_pb2
from windlass.types.v1.gpu_pb2 import Throttle
from windlass_server.resources.capacity import facts_of
from windlass_server.resources.card_message import fill_layouts
from windlass_server.resources.health_message import (
    ShownGpu,
    fill_conditions,
    fill_faults,
    shown_health,
)
from windlass_server.resources.inventories import standing
from windlass_server.resources.maintenance import State, estimated_end, shown
from windlass_server.resources.rules import free
from windlass_server.resources.service import NodeView
from windlass_server.storage.tables import EventRow
from windlass_server.telemetry.latest import LatestTelemetry, NewestGpus, Values
from windlass_server.timestamps import set_time, to_proto

# A reason of number n is bit n - 1 of NVML's mask.
_THROTTLE_REASONS = cast("list[Throttle.Reason]", Throttle.Reason.values()[1:])
# Nodes that are filled in before others get their turn: a few milliseconds.
_AT_ONCE = 100
_UNHEALTHY = "its node reports that it must not be given to jobs"


def node_message(view: NodeView, latest: LatestTelemetry, now: int) -> node_pb2.Node:
    """The message at a time (µs); what nobody measured yet is left out."""
    message = node_pb2.Node()
    fill_node(message, view, latest, now)
    return message


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


async def serialized_page(views: Sequence[NodeView], latest: LatestTelemetry, now: int) -> bytes:
    """A serialized `ListNodesResponse` of these nodes; others get their turns while it is made."""
    pieces = []
    for first in range(0, len(views), _AT_ONCE):
        if first:
            await asyncio.sleep(0)
        some = resources_service_pb2.ListNodesResponse()
        for view in views[first : first + _AT_ONCE]:
            fill_node(some.nodes.add(), view, latest, now, listed=True)
        pieces.append(some.SerializeToString())
    # Messages that stand one behind the other are one with the nodes of all.
    return b"".join(pieces)


def fill_node(
    message: node_pb2.Node,
    view: NodeView,
    latest: LatestTelemetry,
    now: int,
    *,
    listed: bool = False,
) -> None:
    """The same into an empty message, such as the next of a list: nothing is copied.

    `listed`: its cards in the short form of lists.
    """
    row, has = view.row, standing(view.row.inventory)
    message.MergeFromString(has.listed if listed else has.node)
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
    going = fill_layouts(message, facts_of(row).cards, view.layouts)
    idle, health, said = 0, shown_health(row.health).gpus, latest.gpus(row.node_id)
    for uuid, gpu in has.gpus:
        free_now = _fill_gpu(message.gpus.add(), gpu, health.get(uuid), view, uuid, said)
        idle += free_now and uuid not in going
    _fill_host(message, latest.host(row.node_id))
    message.available.cpu_millis = free(row.cpu_millis, row.cpu_held)
    message.available.memory_bytes = free(row.memory_bytes, row.memory_held)
    message.available.gpu_count = idle
    _fill_maintenance(message.maintenance, view, now)


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


def _fill_gpu(
    message: node_pb2.Gpu,
    standing_part: bytes,
    health: ShownGpu | None,
    view: NodeView,
    uuid: str,
    said: NewestGpus,
) -> bool:
    """Fill in a GPU; whether it is available: nobody holds it, and it can be given to jobs."""
    message.MergeFromString(standing_part)
    healthy = health is None or health.healthy
    message.health = node_pb2.Gpu.HEALTHY
    if health is not None:
        message.MergeFromString(health.part)
        fill_faults(message, health, view.who)
    if healthy and uuid in said.unhealthy:
        healthy, message.health = False, node_pb2.Gpu.UNHEALTHY
        message.health_reason, message.health_message = "REPORTED_BY_NODE", _UNHEALTHY
    message.run_id = view.holders.get(uuid, "")
    message.allocation_id = view.allocated.get(uuid, "")
    shares = view.shares.get(uuid, ())
    for share in shares:
        message.shares.add(
            run_id=share.run_id,
            allocation_id=share.allocation_id,
            gpu_millis=share.gpu_millis,
        )
    values = said.values.get(uuid)
    if values is not None:
        _fill_measured(message, values)
    for process in said.processes.get(uuid, ()):
        shown = message.processes.add(memory_used_bytes=process.memory_used_bytes)
        # What nobody's run is, only those may know whom the whole machine concerns.
        if view.who.organisation_role is not None or process.run_id in view.run_ids:
            shown.pid, shown.run_id, shown.name = process.pid, process.run_id, process.name
    held = uuid in view.holders or uuid in view.allocated or shares
    return healthy and not held


def _fill_measured(message: node_pb2.Gpu, values: Values) -> None:
    """Fill in what was measured of a GPU."""
    number, whole = values.all().get, values.whole
    message.temperature_celsius = number(Series.GPU_TEMPERATURE_CELSIUS, 0.0)
    message.power_watts = number(Series.GPU_POWER_WATTS, 0.0)
    message.utilization_percent = number(Series.GPU_UTILIZATION_PERCENT, 0.0)
    message.sm_clock_mhz = number(Series.GPU_SM_CLOCK_MHZ, 0.0)
    message.memory_clock_mhz = number(Series.GPU_MEMORY_CLOCK_MHZ, 0.0)
    message.memory_temperature_celsius = number(Series.GPU_MEMORY_TEMPERATURE_CELSIUS, 0.0)
    message.energy_joules = number(Series.GPU_ENERGY_JOULES, 0.0)
    limit = number(Series.GPU_POWER_LIMIT_WATTS)
    if limit is not None:
        message.power_limit_watts = limit
    if values.has(Series.GPU_MEMORY_TOTAL_BYTES):
        message.memory_total_bytes = whole(Series.GPU_MEMORY_TOTAL_BYTES)
    used = whole(Series.GPU_MEMORY_USED_BYTES)
    message.memory_used_bytes = used
    message.memory_free_bytes = free(message.memory_total_bytes, used)
    message.MergeFromString(_rest(values.sampled_at, whole(Series.GPU_THROTTLE_REASONS)))


# GPUs of one node are measured together, and what slows them down seldom changes.
@lru_cache(4096)
def _rest(sampled_at: int, mask: int) -> bytes:
    """When a GPU was measured and what slowed it down, a serialized `Gpu`."""
    message = node_pb2.Gpu()
    message.throttle_reasons.extend(
        reason for reason in _THROTTLE_REASONS if mask >> (reason - 1) & 1
    )
    set_time(message.sample_time, sampled_at)
    return message.SerializeToString()


def _fill_host(message: node_pb2.Node, values: Values | None) -> None:
    if values is None:
        return
    host = message.host
    host.cpu_used_millis = values.number(Series.CPU_USED_MILLIS)
    host.memory_used_bytes = values.whole(Series.MEMORY_USED_BYTES)
    host.memory_total_bytes = values.whole(Series.MEMORY_TOTAL_BYTES)
    host.load_1m = values.number(Series.LOAD_1M)
    set_time(host.sample_time, values.sampled_at)
