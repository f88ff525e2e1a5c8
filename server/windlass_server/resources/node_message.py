"""A node as the API shows it: its row, what it says of itself, and its newest values."""

from typing import cast

from windlass.agents.v1 import agent_pb2
from windlass.agents.v1.agent_pb2 import Series
from windlass.resources.v1 import node_pb2
from windlass.types.v1.gpu_pb2 import Mig, Throttle
from windlass_server.resources.capacity import ZONE_LABEL
from windlass_server.resources.maintenance import State, estimated_end, shown
from windlass_server.resources.rules import free
from windlass_server.resources.service import NodeView
from windlass_server.telemetry.latest import LatestTelemetry, Values
from windlass_server.timestamps import to_proto

# A reason of number n is bit n - 1 of NVML's mask.
_THROTTLE_REASONS = cast("list[Throttle.Reason]", Throttle.Reason.values()[1:])
_UNHEALTHY = "its node reports that it must not be given to jobs"


def node_message(view: NodeView, latest: LatestTelemetry, now: int) -> node_pb2.Node:
    """The message at a time (µs); what nobody measured yet is left out."""
    row, inventory = view.row, view.inventory
    message = node_pb2.Node(
        node_id=row.node_id,
        name=row.name,
        status=node_pb2.Node.Status.Name(shown(row.status, row.maintenance)),
        status_reason=row.status_reason,
        status_message=row.status_message,
        labels=inventory.labels,
        capacity=node_pb2.Capacity(
            cpu_millis=inventory.cpu_millis,
            memory_bytes=inventory.memory_bytes,
            gpu_count=len(inventory.gpus),
        ),
        allocatable=node_pb2.Capacity(
            cpu_millis=row.cpu_millis,
            memory_bytes=row.memory_bytes,
            gpu_count=len(inventory.gpus),
        ),
        gpus=[_gpu(view, gpu, latest) for gpu in inventory.gpus],
        host=_host(latest.host(row.node_id)),
        isolation=inventory.isolation,
        agent_version=inventory.agent_version,
        boot_id=inventory.boot_id,
        create_time=to_proto(row.created_at),
        last_seen_time=to_proto(row.last_seen_at),
        runs=[
            node_pb2.NodeRun(run_id=run.run_id, job_id=run.job_id, gpu_uuids=run.gpu_uuids)
            for run in view.runs
        ],
        gpu_driver_version=inventory.gpu_driver_version,
        cluster=row.cluster,
        pool_id=row.pool,
        zone=inventory.labels.get(ZONE_LABEL, ""),
    )
    if inventory.gpus:
        message.gpu_driver.CopyFrom(_driver(inventory))
    message.available.CopyFrom(_available(view, message))
    message.maintenance.CopyFrom(_maintenance(view, now))
    return message


def _driver(inventory: agent_pb2.Inventory) -> node_pb2.GpuDriver:
    return node_pb2.GpuDriver(
        version=inventory.gpu_driver_version,
        cuda_version=inventory.cuda_version,
        mig_capable=any(gpu.mig_mode != Mig.MODE_UNSPECIFIED for gpu in inventory.gpus),
        can_reset_gpus=inventory.can_reset_gpus,
    )


def _maintenance(view: NodeView, now: int) -> node_pb2.Maintenance:
    row = view.row
    mode = row.drain_mode or node_pb2.Maintenance.DRAIN_MODE_UNSPECIFIED
    message = node_pb2.Maintenance(
        state=node_pb2.Maintenance.State.Name(row.maintenance),
        reason=row.maintenance_reason,
        actor=row.maintenance_actor,
        start_time=to_proto(row.maintenance_at or row.created_at),
        mode=node_pb2.Maintenance.DrainMode.Name(mode),
    )
    if row.drain_mode:
        message.runs_at_start, message.runs_left = row.drain_runs, len(view.leaving)
    if row.drain_deadline is not None:
        message.deadline_time.CopyFrom(to_proto(row.drain_deadline))
    if row.maintenance == State.DRAINING:
        end = estimated_end(view.leaving, row.drain_deadline, now)
        if end is not None:
            message.estimated_end_time.CopyFrom(to_proto(end))
    return message


def _available(view: NodeView, message: node_pb2.Node) -> node_pb2.Capacity:
    """What nobody holds; a GPU that must not be given to jobs is not available either."""
    held = view.holders.keys() | view.allocated.keys()
    idle = [
        gpu for gpu in message.gpus if gpu.uuid not in held and gpu.health == node_pb2.Gpu.HEALTHY
    ]
    return node_pb2.Capacity(
        cpu_millis=free(view.row.cpu_millis, view.row.cpu_held),
        memory_bytes=free(view.row.memory_bytes, view.row.memory_held),
        gpu_count=len(idle),
    )


def _gpu(view: NodeView, gpu: agent_pb2.GpuDevice, latest: LatestTelemetry) -> node_pb2.Gpu:
    node_id = view.row.node_id
    healthy = latest.is_healthy(node_id, gpu.uuid)
    message = node_pb2.Gpu(
        uuid=gpu.uuid,
        index=gpu.index,
        model=gpu.model,
        gpu_type=gpu.gpu_type,
        memory_total_bytes=gpu.memory_total_bytes,
        power_limit_watts=gpu.power_limit_watts,
        health=node_pb2.Gpu.HEALTHY if healthy else node_pb2.Gpu.UNHEALTHY,
        health_message="" if healthy else _UNHEALTHY,
        run_id=view.holders.get(gpu.uuid, ""),
        allocation_id=view.allocated.get(gpu.uuid, ""),
        pci_bus_id=gpu.pci_bus_id,
        nvlink_peers=gpu.nvlink_peers,
        mig_mode=gpu.mig_mode,
        compute_capability=gpu.compute_capability,
        slowdown_celsius=gpu.slowdown_celsius,
    )
    values = latest.gpu(node_id, gpu.uuid)
    if values is not None:
        _measured(message, values)
    message.processes.extend(
        node_pb2.GpuProcess(
            pid=process.pid,
            memory_used_bytes=process.memory_used_bytes,
            run_id=process.run_id,
            name=process.name,
        )
        for process in latest.processes(node_id, gpu.uuid)
    )
    return message


def _measured(message: node_pb2.Gpu, values: Values) -> None:
    """Fill in what was measured of a GPU."""
    message.temperature_celsius = values.number(Series.GPU_TEMPERATURE_CELSIUS)
    message.power_watts = values.number(Series.GPU_POWER_WATTS)
    message.utilization_percent = values.number(Series.GPU_UTILIZATION_PERCENT)
    message.sm_clock_mhz = values.number(Series.GPU_SM_CLOCK_MHZ)
    message.memory_clock_mhz = values.number(Series.GPU_MEMORY_CLOCK_MHZ)
    if values.has(Series.GPU_POWER_LIMIT_WATTS):
        message.power_limit_watts = values.number(Series.GPU_POWER_LIMIT_WATTS)
    if values.has(Series.GPU_MEMORY_TOTAL_BYTES):
        message.memory_total_bytes = values.whole(Series.GPU_MEMORY_TOTAL_BYTES)
    message.memory_used_bytes = values.whole(Series.GPU_MEMORY_USED_BYTES)
    message.memory_free_bytes = free(message.memory_total_bytes, message.memory_used_bytes)
    message.memory_temperature_celsius = values.number(Series.GPU_MEMORY_TEMPERATURE_CELSIUS)
    message.energy_joules = values.number(Series.GPU_ENERGY_JOULES)
    mask = values.whole(Series.GPU_THROTTLE_REASONS)
    message.throttle_reasons.extend(each for each in _THROTTLE_REASONS if mask >> (each - 1) & 1)
    message.sample_time.CopyFrom(to_proto(values.sampled_at))


def _host(values: Values | None) -> node_pb2.HostMetrics | None:
    if values is None:
        return None
    return node_pb2.HostMetrics(
        cpu_used_millis=values.number(Series.CPU_USED_MILLIS),
        memory_used_bytes=values.whole(Series.MEMORY_USED_BYTES),
        memory_total_bytes=values.whole(Series.MEMORY_TOTAL_BYTES),
        load_1m=values.number(Series.LOAD_1M),
        sample_time=to_proto(values.sampled_at),
    )
