"""What the scheduler sees: frozen inputs of its own, neither table rows nor messages.

CPU is in thousandths of a core, memory in bytes, GPUs are whole devices. Whoever makes a snapshot
guarantees that ids are unique within it; order of the tuples has no meaning.
"""

from collections.abc import Mapping
from dataclasses import dataclass

ANY_GPU_TYPE = ""
"""As a demand's `gpu_type`: every whole GPU will do, but all GPUs of one job are of one type."""


ANY_POOL = ""
"""As a node's pool: what was only declared may come to be in any."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A node on which an earlier run of the job could not be started, or was lost.

    Attributes:
        node_id: the node.
        paused_until: the job is not tried there before (microseconds since 1970, UTC); None when
            that is over, so that the node will do where no other does.
    """

    node_id: str
    paused_until: int | None


@dataclass(frozen=True, slots=True)
class Demand:
    """What one waiting job asks of one node.

    Attributes:
        job_id: the job.
        priority: higher is served first.
        cpu_millis: CPU time in thousandths of a core.
        memory_bytes: memory in bytes.
        gpu_count: whole GPUs, all on one node; 0 for none.
        gpu_type: short type such as `H100`, compared without case; `ANY_GPU_TYPE` for any.
        min_isolation: the weakest isolation level that will do; higher is stronger, 0 for any.
        order: sortable key of submission, such as the job's ULID; equal priorities go by it.
        faults: the nodes that failed it, each once, by their ids.
        pools: the pools on whose nodes it may be, by name; None for any.
        project: whose it is, for reservations.
        user: whose it is in that project, for the same.
        time_limit: how long it may run, with its grace, in microseconds; None: for ever.
    """

    job_id: str
    priority: int
    cpu_millis: int
    memory_bytes: int
    gpu_count: int
    gpu_type: str
    min_isolation: int
    order: str
    faults: tuple[Fault, ...] = ()
    pools: tuple[str, ...] | None = None
    project: str = ""
    user: str = ""
    time_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device of a node.

    Attributes:
        uuid: the device's UUID; unique within its node.
        gpu_type: short type such as `H100`.
        healthy: it may be given to jobs.
        held: a run holds it.
        part: it is an instance of a divided card: for those who ask for its type, and for nobody who
            would take any GPU.
        nvlink_peers: UUIDs of the node's other GPUs that it says it reaches over NVLink.
    """

    uuid: str
    gpu_type: str
    healthy: bool
    held: bool
    part: bool = False
    nvlink_peers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NodeState:
    """One registered node, reachable or not.

    Attributes:
        node_id: the node.
        name: its host name, for people.
        ready: its agent is connected.
        cpu_millis: CPU that it has for jobs, in thousandths of a core.
        memory_bytes: memory that it has for jobs.
        cpu_free: CPU that no run holds; below 0 when the node shrank under its runs.
        memory_free: memory that no run holds; below 0 when the node shrank under its runs.
        gpus: its devices, in any order.
        isolation_level: the strongest isolation that it proved.
        takes_work: it is neither cordoned nor being drained.
        pool: the pool that it is in, or `ANY_POOL`.
    """

    node_id: str
    name: str
    ready: bool
    cpu_millis: int
    memory_bytes: int
    cpu_free: int
    memory_free: int
    gpus: tuple[Gpu, ...]
    isolation_level: int
    takes_work: bool = True
    pool: str = ANY_POOL


@dataclass(frozen=True, slots=True)
class Pool:
    """Capacity that an operator declared: nodes of one shape, of which none may be there yet.

    Attributes:
        name: the pool's name, for people.
        template: what each of its nodes has when it is empty; its id, name and free amounts are
            not read.
        count: how many such nodes it can have; a pool of 0 holds nothing.
    """

    name: str
    template: NodeState
    count: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What a reservation still keeps of a node: its amounts less what those whom it is for have of it.

    Attributes:
        reservation_id: the reservation.
        project: whose jobs may use it; empty: nobody's.
        users: of that project only these; none: all.
        cpu_millis: thousandths of a core.
        memory_bytes: bytes.
        gpu_count: whole GPUs.
        gpu_type: of this type.
        until: when this time of the reservation ends (microseconds since 1970).
    """

    reservation_id: str
    project: str
    users: frozenset[str]
    cpu_millis: int
    memory_bytes: int
    gpu_count: int
    gpu_type: str
    until: int

    def admits(self, project: str, user: str) -> bool:
        """Whether somebody's work may use it."""
        return bool(self.project) and self.project == project and user in (self.users or {user})


@dataclass(frozen=True, slots=True)
class Moment:
    """What a node has from some time on, and what of that is kept: now, or when a reservation begins.

    Attributes:
        node_id: the node.
        at: from when on, in microseconds since 1970; that of the snapshot or earlier: now.
        cpu_millis: what is not held by work that may still run then, in thousandths of a core.
        memory_bytes: the same of memory.
        gpus: the same of GPUs that can be given out, by their types in any case.
        kept: what reservations keep of that, whose time it is then.
    """

    node_id: str
    at: int
    cpu_millis: int
    memory_bytes: int
    gpus: Mapping[str, int]
    kept: tuple[Kept, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole world at one moment, as one planning cycle sees it."""

    queue: tuple[Demand, ...]
    nodes: tuple[NodeState, ...]
    pools: tuple[Pool, ...] = ()
    moments: tuple[Moment, ...] = ()
    now: int = 0
