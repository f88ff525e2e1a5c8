"""What is stored of a node's health, as the rules want it, and back."""

from collections.abc import Iterable
from functools import lru_cache

from windlass.agents.v1.agent_pb2 import Inventory
from windlass.agents.v1.health_pb2 import GpuHealth, GpuReport, HealthReport, NodeHealth
from windlass_server.resources.gpu_health import Facts, Fault, GpuState, Health, Xid, trusted
from windlass_server.resources.node_conditions import DISK_FULL, Condition, Look

MAX_FAULTS = 16
_NANOS = 1000
_MAX_COUNT = (1 << 31) - 1
_STATUS = {True: 1, False: 2}
"""As `NodeCondition.Status`."""


# Records change seldom, and are read with each cycle of the scheduler.
@lru_cache(maxsize=8192)
def unusable(health: bytes) -> frozenset[str]:
    """The UUIDs of the GPUs that must not be given to jobs."""
    record = NodeHealth.FromString(health)
    return frozenset(gpu.uuid for gpu in record.gpus if gpu.health != Health.HEALTHY)


def read_state(gpu: GpuHealth) -> GpuState:
    """A GPU as the rules see it."""
    return GpuState(
        health=Health(gpu.health),
        reason=gpu.reason,
        message=gpu.message,
        changed_at=gpu.changed_at,
        faulted_at=gpu.faulted_at,
        standing=frozenset(gpu.standing),
        action=gpu.action,
        agent_start=gpu.agent_start,
        last_xid=gpu.last_xid,
        uncorrected=gpu.uncorrected,
        reset_wanted=gpu.reset_wanted,
        reset_done=gpu.reset_done,
        resets=tuple(gpu.resets),
    )


def write_state(gpu: GpuHealth, state: GpuState) -> None:
    """Keep what the rules say of a GPU."""
    kept = GpuHealth(
        uuid=gpu.uuid,
        health=int(state.health),
        reason=state.reason,
        message=state.message,
        changed_at=state.changed_at,
        faulted_at=state.faulted_at,
        standing=sorted(state.standing),
        action=state.action,
        agent_start=state.agent_start,
        last_xid=state.last_xid,
        uncorrected=state.uncorrected,
        reset_wanted=state.reset_wanted,
        reset_done=state.reset_done,
        resets=state.resets,
        faults=gpu.faults,
        report=gpu.report if gpu.HasField("report") else None,
    )
    gpu.CopyFrom(kept)


def facts_of(report: GpuReport, agent_start: int, now: int) -> Facts:
    """A node's report of a GPU as the rules see it; XIDs of the future are of now."""
    rows = report.remapped_rows
    ecc = report.ecc_errors.uncorrected_volatile if report.HasField("ecc_errors") else None
    return Facts(
        agent_start=agent_start,
        lost=report.lost,
        reset_required=report.reset_required,
        too_hot=report.too_hot,
        rows_pending=rows.pending,
        rows_failed=rows.failure,
        uncorrected=ecc,
        xids=tuple(
            Xid(xid.number, xid.code, min(xid.time_nanos // _NANOS, now)) for xid in report.xids
        ),
        reset_done=report.reset_done,
        reset_error=report.reset_error,
    )


def note_faults(
    gpu: GpuHealth, faults: Iterable[Fault], run_id: str, job_id: str, project: str
) -> list[Fault]:
    """Keep the last faults of a GPU, with the run that held it; those that are not just more of one.

    A program may bring forth the same XID hundreds of times a second.
    """
    news = []
    for fault in faults:
        last = gpu.faults[-1] if gpu.faults else None
        if last is not None and (last.kind, last.run_id) == (fault.kind, run_id):
            last.at, last.count = fault.at, min(last.count + 1, _MAX_COUNT)
            continue
        news.append(fault)
        gpu.faults.add(
            kind=fault.kind,
            at=fault.at,
            action=int(fault.action),
            run_id=run_id,
            job_id=job_id,
            project=project,
            count=1,
        )
    del gpu.faults[:-MAX_FAULTS]
    return news


def note_report(record: NodeHealth, report: HealthReport) -> None:
    """Keep a report: of each GPU beside its state, without what was taken from it."""
    by_uuid = {gpu.uuid: gpu for gpu in record.gpus}
    for told in report.gpus:
        if told.uuid in by_uuid:
            kept = by_uuid[told.uuid].report
            kept.CopyFrom(told)
            kept.ClearField("xids")
    record.report.CopyFrom(report)
    record.report.ClearField("gpus")


def note_inventory(record: NodeHealth, inventory: Inventory) -> None:
    """Keep what a node has had most of: GPUs by name, CPU and memory."""
    known = {gpu.uuid for gpu in record.gpus}
    for device in inventory.gpus:
        if device.uuid not in known:
            record.gpus.add(uuid=device.uuid, health=int(Health.HEALTHY))
    record.cpu_millis = max(record.cpu_millis, inventory.cpu_millis)
    record.memory_bytes = max(record.memory_bytes, inventory.memory_bytes)


def forget_instances(record: NodeHealth, before: Inventory, inventory: Inventory) -> None:
    """Drop what is known of instances that are gone while their card is there: it was divided otherwise."""
    cards = {card.uuid for card in inventory.mig_cards}
    there = {device.uuid for device in inventory.gpus}
    gone = {
        device.uuid
        for device in before.gpus
        if device.uuid not in there and device.mig_instance.parent_uuid in cards
    }
    kept = [gpu for gpu in record.gpus if gpu.uuid not in gone]
    del record.gpus[:]
    record.gpus.extend(kept)


def overruled(health: bytes, inventory: Inventory, now: int) -> bytes:
    """The record after an operator opened the node (µs).

    What it has is right, what it lacks was taken away, and what nothing is wrong with now is watched.
    """
    record = NodeHealth.FromString(health)
    for gpu in record.gpus:
        write_state(gpu, trusted(read_state(gpu), now))
    there = {device.uuid for device in inventory.gpus}
    there.update(card.uuid for card in inventory.mig_cards)
    kept = [gpu for gpu in record.gpus if gpu.uuid in there]
    del record.gpus[:]
    record.gpus.extend(kept)
    record.cpu_millis, record.memory_bytes = inventory.cpu_millis, inventory.memory_bytes
    record.overruled[:] = record.causes
    return record.SerializeToString()


def look_at(record: NodeHealth, inventory: Inventory) -> Look:
    """The node as the rules of conditions see it."""
    states = {gpu.uuid: read_state(gpu) for gpu in record.gpus}
    there = {device.uuid: device.index for device in inventory.gpus}
    # A card that is divided is told by its instances.
    divided = {card.uuid for card in inventory.mig_cards if card.divided}
    return Look(
        gpus={uuid: (index, states[uuid]) for uuid, index in there.items() if uuid in states},
        missing=tuple(uuid for uuid in states if uuid not in there and uuid not in divided),
        cpu_millis=(inventory.cpu_millis, record.cpu_millis),
        memory_bytes=(inventory.memory_bytes, record.memory_bytes),
        disk=(record.report.disk_total_bytes, record.report.disk_free_bytes),
        disk_was_full=DISK_FULL in record.causes,
        failed_jobs=record.failed_jobs,
    )


def note_conditions(record: NodeHealth, found: Iterable[Condition], now: int) -> None:
    """Keep the conditions, each with the time of its last change."""
    before = {one.type: one for one in record.conditions}
    kept = []
    for one in found:
        status = _STATUS[one.good]
        old = before.get(one.type)
        since = old.changed_at if old is not None and old.status == status else now
        kept.append(
            NodeHealth.Condition(
                type=one.type,
                status=status,
                reason=one.reason,
                message=one.message,
                changed_at=since,
            )
        )
    del record.conditions[:]
    record.conditions.extend(kept)


def is_ailing(record: NodeHealth) -> bool:
    """Whether time, or what runs on the node, can change something about its health."""
    return bool(record.causes or record.failed_jobs or record.leaving) or any(
        gpu.health != Health.HEALTHY for gpu in record.gpus
    )
