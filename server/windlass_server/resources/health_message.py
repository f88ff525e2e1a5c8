"""The health of a node as the API shows it, made once for as long as it stays the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from windlass.agents.v1.health_pb2 import GpuHealth, NodeHealth
from windlass.resources.v1 import node_pb2
from windlass_server.access.policy import Caller, role_in
from windlass_server.resources.gpu_health import Health
from windlass_server.resources.health_policy import Policy
from windlass_server.resources.states import Status
from windlass_server.storage.tables import NodeRow
from windlass_server.timestamps import set_time

# For the words of faults, which no operator changes.
_POLICY = Policy()


@dataclass(frozen=True, slots=True)
class ShownGpu:
    """What is shown of a GPU's health.

    Attributes:
        part: a `Gpu` without its faults, serialized.
        healthy: it can be given to jobs.
        faults: of each the `GpuFault` without its job, serialized, the job, and the job's project.
    """

    part: bytes
    healthy: bool
    faults: tuple[tuple[bytes, str, str], ...]


@dataclass(frozen=True, slots=True)
class ShownHealth:
    """What is shown of a node's health: its GPUs by their UUIDs, and a `Node` of its conditions."""

    gpus: Mapping[str, ShownGpu]
    conditions: bytes


@lru_cache(maxsize=8192)
def shown_health(health: bytes) -> ShownHealth:
    """From what is stored."""
    record = NodeHealth.FromString(health)
    node = node_pb2.Node()
    for one in record.conditions:
        message = node.conditions.add(
            type=one.type,
            status=node_pb2.NodeCondition.Status.Name(one.status),
            reason=one.reason,
            message=one.message,
        )
        set_time(message.last_transition_time, one.changed_at)
    gpus = {gpu.uuid: _shown_gpu(gpu) for gpu in record.gpus}
    return ShownHealth(MappingProxyType(gpus), node.SerializeToString())


def fill_conditions(message: node_pb2.Node, row: NodeRow) -> None:
    """Fill in the conditions; of a node that cannot be reached they are the last known."""
    ready = row.status == Status.READY
    # The one that needs no report: a heartbeat that is lost is one that nobody sends.
    connected = message.conditions.add(
        type="AgentConnected",
        status=node_pb2.NodeCondition.TRUE if ready else node_pb2.NodeCondition.FALSE,
        reason=row.status_reason,
        message=row.status_message,
    )
    since = row.connected_at if ready and row.connected_at is not None else row.last_seen_at
    set_time(connected.last_transition_time, since)
    message.MergeFromString(shown_health(row.health).conditions)
    if ready:
        return
    for one in message.conditions[1:]:
        one.status = node_pb2.NodeCondition.UNKNOWN
        set_time(one.last_transition_time, row.last_seen_at)


def fill_faults(message: node_pb2.Gpu, gpu: ShownGpu, who: Caller) -> None:
    """Fill in the faults; runs and jobs that the caller may not read are left out."""
    for part, job_id, project in gpu.faults:
        fault = message.faults.add()
        fault.MergeFromString(part)
        if project and role_in(who, project) is not None:
            fault.job_id = job_id
        else:
            fault.run_id = ""


def _shown_gpu(gpu: GpuHealth) -> ShownGpu:
    message = node_pb2.Gpu(
        health=node_pb2.Gpu.Health.Name(gpu.health),
        health_reason=gpu.reason,
        health_message=gpu.message,
    )
    if gpu.changed_at:
        set_time(message.health_time, gpu.changed_at)
    report = gpu.report
    if report.HasField("ecc_errors"):
        message.ecc_errors.CopyFrom(report.ecc_errors)
    if report.HasField("remapped_rows"):
        message.remapped_rows.CopyFrom(report.remapped_rows)
    if report.HasField("pcie_link"):
        message.pcie_link.CopyFrom(report.pcie_link)
    faults = tuple(
        (_fault(fault).SerializeToString(), fault.job_id, fault.project)
        for fault in reversed(gpu.faults)
    )
    return ShownGpu(message.SerializeToString(), gpu.health == Health.HEALTHY, faults)


def _fault(fault: GpuHealth.Fault) -> node_pb2.GpuFault:
    code = fault.kind.removeprefix("XID_")
    message = node_pb2.GpuFault(
        kind=fault.kind,
        xid=int(code) if code != fault.kind else 0,
        message=_POLICY.rule(fault.kind).words,
        action=node_pb2.GpuFault.Action.Name(fault.action),
        run_id=fault.run_id,
        count=fault.count,
    )
    set_time(message.time, fault.at)
    return message
