"""What is wrong with a node as a whole, and whether it must take nothing new because of it. Pure."""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from windlass_server.resources.gpu_health import GpuState, Health
from windlass_server.resources.health_policy import Policy

# A little memory more or less is a matter of the kernel's, not of a module that failed.
_MEMORY_SHARE = 0.95


class Closing(enum.IntEnum):
    """What a node must be because of its health; each is more than the one before."""

    OPEN = 0
    CORDON = 1
    DRAIN = 2


class Type(enum.StrEnum):
    """Types of conditions; each is true of a node that has nothing wrong with it."""

    GPUS_HEALTHY = "GpusHealthy"
    INVENTORY_COMPLETE = "InventoryComplete"
    DISK_SPACE_LEFT = "DiskSpaceLeft"
    RUNS_START = "RunsStart"


@dataclass(frozen=True, slots=True)
class Cause:
    """Something because of which a node takes nothing new.

    Attributes:
        key: names it, so that an operator's overruling of it is kept apart from others.
        closing: what the node must be.
        type: the condition that it makes false.
        reason: UPPER_SNAKE.
        words: for people.
    """

    key: str
    closing: Closing
    type: Type
    reason: str
    words: str


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether something is as it should be: a reason, and a sentence."""

    type: Type
    good: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Look:
    """What there is to judge a node by.

    Attributes:
        gpus: index and state of each GPU, by its UUID.
        missing: the UUIDs of GPUs that it has had and has not any more.
        cpu_millis: what it has, and the most that it has had.
        memory_bytes: the same of its memory.
        disk: size and what is free of its disk; 0 when it is not known.
        disk_was_full: at the last look.
        failed_jobs: different jobs that it has failed not long ago, and no other node has.
    """

    gpus: dict[str, tuple[int, GpuState]]
    missing: tuple[str, ...] = ()
    cpu_millis: tuple[int, int] = (0, 0)
    memory_bytes: tuple[int, int] = (0, 0)
    disk: tuple[int, int] = (0, 0)
    disk_was_full: bool = False
    failed_jobs: int = 0


DISK_FULL = "DISK_FULL"


def causes(look: Look, policy: Policy) -> tuple[Cause, ...]:
    """Why the node must take nothing new; none when it may."""
    return (*_gpus(look), *_inventory(look), *_disk(look, policy), *_jobs(look, policy))


def conditions(look: Look, found: Sequence[Cause]) -> tuple[Condition, ...]:
    """Every condition of the node, one of each type, from the causes that `causes` found."""
    by_type: dict[Type, list[Cause]] = {kind: [] for kind in Type}
    for cause in found:
        by_type[cause.type].append(cause)
    made = [_condition(kind, by_type[kind]) for kind in Type]
    ill = [
        _of_gpu(index, uuid, state)
        for uuid, (index, state) in look.gpus.items()
        if not state.usable
    ]
    if made[0].good and ill:
        # A card that needs no more than a reset closes no node, but is not healthy either.
        made[0] = Condition(Type.GPUS_HEALTHY, False, "GPU_UNHEALTHY", "; ".join(ill))
    return tuple(made)


def wanted(found: Iterable[Cause], overruled: Iterable[str]) -> tuple[Closing, str]:
    """What the node must be, and why; causes that an operator has overruled do not count."""
    keys = set(overruled)
    counted = [cause for cause in found if cause.key not in keys]
    closing = max((cause.closing for cause in counted), default=Closing.OPEN)
    return closing, "; ".join(cause.words for cause in counted if cause.closing == closing)


_GOOD = {
    Type.GPUS_HEALTHY: ("ALL_HEALTHY", "every GPU can be given to jobs"),
    Type.INVENTORY_COMPLETE: ("ALL_THERE", "it has what it has had"),
    Type.DISK_SPACE_LEFT: ("SPACE_LEFT", "there is room on its disk"),
    Type.RUNS_START: ("RUNS_START", "it has not failed different jobs of late"),
}


def _condition(kind: Type, found: list[Cause]) -> Condition:
    if not found:
        return Condition(kind, True, *_GOOD[kind])
    return Condition(kind, False, found[0].reason, "; ".join(cause.words for cause in found))


def _gpus(look: Look) -> Iterable[Cause]:
    for uuid, (index, state) in look.gpus.items():
        if state.closes_node:
            key, words = f"{state.reason}:{uuid}", _of_gpu(index, uuid, state)
            yield Cause(key, Closing.DRAIN, Type.GPUS_HEALTHY, state.reason, words)


def _of_gpu(index: int, uuid: str, state: GpuState) -> str:
    how = Health(state.health).name.lower()
    return f"GPU {index} ({uuid}) is {how}: {state.message}"


def _inventory(look: Look) -> Iterable[Cause]:
    kind = Type.INVENTORY_COMPLETE
    for uuid in look.missing:
        words = f"GPU {uuid} is missing"
        yield Cause(f"GPU_MISSING:{uuid}", Closing.DRAIN, kind, "GPU_MISSING", words)
    cpu, most_cpu = look.cpu_millis
    if cpu < most_cpu:
        words = f"it has {cpu} thousandths of a core of the {most_cpu} that it had"
        yield Cause("CPU_SHRUNK", Closing.DRAIN, kind, "CPU_SHRUNK", words)
    memory, most_memory = look.memory_bytes
    if memory < most_memory * _MEMORY_SHARE:
        words = f"it has {memory} bytes of memory of the {most_memory} that it had"
        yield Cause("MEMORY_SHRUNK", Closing.DRAIN, kind, "MEMORY_SHRUNK", words)


def _disk(look: Look, policy: Policy) -> Iterable[Cause]:
    total, free = look.disk
    share, least = policy.disk_full
    # Twice as much must be free again, so that it does not go to and fro.
    needed = max(share * total, least) * (2 if look.disk_was_full else 1)
    if total and free < needed:
        words = f"its disk is full: {free} of {total} bytes are left"
        yield Cause(DISK_FULL, Closing.CORDON, Type.DISK_SPACE_LEFT, DISK_FULL, words)


def _jobs(look: Look, policy: Policy) -> Iterable[Cause]:
    if look.failed_jobs >= policy.failed_jobs:
        words = f"it has failed {look.failed_jobs} different jobs of late that no other node failed"
        yield Cause("FAILS_JOBS", Closing.CORDON, Type.RUNS_START, "FAILS_JOBS", words)


@dataclass(frozen=True, slots=True)
class NodeFault:
    """A run that its node failed: of which job, where, when (µs), and whether it was lost with others."""

    job_id: str
    node_id: str
    at: int
    lost: bool


# Runs that are lost together are lost by one thing, such as a machine that was booted.
_TOGETHER = 60_000_000
# A job that so many nodes have failed is at fault itself.
_NODES_OF_A_BAD_JOB = 3


def blamed(ends: Sequence[NodeFault]) -> dict[str, int]:
    """How many different jobs each node has failed; what one job suffers everywhere counts for none.

    So "one node fails different jobs" and "one job fails on different nodes" are told apart.
    """
    nodes_of: dict[str, set[str]] = {}
    for end in ends:
        nodes_of.setdefault(end.job_id, set()).add(end.node_id)
    counted: dict[str, set[object]] = {}
    for end in ends:
        if len(nodes_of[end.job_id]) < _NODES_OF_A_BAD_JOB:
            what = end.at // _TOGETHER if end.lost else end.job_id
            counted.setdefault(end.node_id, set()).add(what)
    return {node_id: len(jobs) for node_id, jobs in counted.items()}
