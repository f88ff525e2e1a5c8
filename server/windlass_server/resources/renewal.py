"""Whether an allocation may go on: what others have reserved is not held longer. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from windlass_server.errors import Conflict
from windlass_server.scheduler.explain import Reason
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.snapshot import Demand, Gpu, Moment, NodeState, Snapshot
from windlass_server.storage.tables import AllocationRow


def require_not_reserved(
    row: AllocationRow, node: NodeState, kept: Sequence[Moment], now: int, ttl: int
) -> None:
    """Do nothing when an allocation may hold its part of a node for so long.

    Args:
        row: the allocation.
        node: its node.
        kept: what reservations keep of that, as if the allocation held nothing.
        now: in microseconds since 1970.
        ttl: how long from now on, in microseconds.

    Raises:
        Conflict: somebody else has reserved what it holds (`RESERVED`).
    """
    if not kept:
        return
    types = Counter(row.gpu_types.split(",") if row.gpu_types else ())
    demand = Demand(
        job_id=row.allocation_id,
        priority=0,
        cpu_millis=row.cpu_millis,
        memory_bytes=row.memory_bytes,
        gpu_count=types.total(),
        gpu_type=min(types, default=""),
        min_isolation=0,
        order="",
        project=row.project,
        user=row.user,
        time_limit=ttl,
        gpu_millis=row.gpu_millis,
    )
    asked_anew = Snapshot((demand,), (_without(row, node),), (), tuple(kept), now)
    for waiting in plan(asked_anew).waiting:
        if waiting.reason == Reason.RESERVED:
            message = f"it cannot be held for so long: its part {waiting.message}"
            raise Conflict(message, reason=waiting.reason, node_id=row.node_id)


def _without(row: AllocationRow, node: NodeState) -> NodeState:
    """The node as if the allocation held nothing of it, open for work."""
    held = row.gpu_uuids.split(",")
    return replace(
        node,
        ready=True,
        takes_work=True,
        cpu_free=node.cpu_free + row.cpu_millis,
        memory_free=node.memory_free + row.memory_bytes,
        gpus=tuple(
            _given_back(gpu, row.gpu_millis) if gpu.uuid in held else gpu for gpu in node.gpus
        ),
        # Also when its pool lets nobody share any more: what is held is.
        max_sharers=max(node.max_sharers, 1),
    )


def _given_back(gpu: Gpu, share: int) -> Gpu:
    left = max(gpu.shared_millis - share, 0) if share else 0
    sharers = max(gpu.sharers - 1, 0)
    return replace(gpu, held=left > 0, healthy=True, shared_millis=left, sharers=sharers)
