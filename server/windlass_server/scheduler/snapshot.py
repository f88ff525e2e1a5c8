"""What the scheduler sees: frozen inputs of its own, neither table rows nor messages.

CPU is in thousandths of a core, memory in bytes, GPUs are whole devices unless a share is asked for. Whoever makes a snapshot
guarantees that ids are unique within it; order of the tuples has no meaning.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from windlass_server.scheduler.fair_share import NO_SHARES, Shares
from windlass_server.scheduler.policies import NO_POLICIES, Policies
from windlass_server.scheduler.preempting import NO_PREEMPTIONS, Preemptions
from windlass_server.scheduler.queue_limits import QueueState
from windlass_server.scheduler.quota import Quota

ANY_GPU_TYPE = ""
"""As a demand's `gpu_type`: every whole GPU will do, but all GPUs of one job are of one type."""


WHOLE = 1000
"""A whole GPU, in thousandths."""

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
class RunTime:
    """How long such runs have taken, in microseconds: half of them at most `p50`, nine of ten `p90`."""

    p50: int
    p90: int


@dataclass(frozen=True, slots=True)
class Topology:
    """Within one domain of which level the nodes of a job must lie, and rather lie; 0: not said.

    The levels are those of `topology.Level`.
    """

    required: int = 0
    preferred: int = 0


class LabelTest(StrEnum):
    """What is asked of a label of a node."""

    IN = "IN"
    NOT_IN = "NOT_IN"
    EXISTS = "EXISTS"
    ABSENT = "ABSENT"


@dataclass(frozen=True, slots=True)
class LabelRule:
    """What a job asks of a label of its nodes.

    Attributes:
        key: the label.
        test: what is asked of it; a node without the label passes NOT_IN and ABSENT.
        values: of which one is meant, with IN and NOT_IN.
        preferred: nodes that pass are only better than others.
    """

    key: str
    test: LabelTest
    values: tuple[str, ...] = ()
    preferred: bool = False


@dataclass(frozen=True, slots=True)
class Spread:
    """Over what the nodes of a job are spread, and with those of whom.

    Attributes:
        node_label: nodes with the same value of this label are one domain, one without it is one alone; empty:
            each node is.
        group: all jobs of this name are spread together; empty: it is with no other.
        most: so many of their nodes, of one counted once for each job, are in one domain at most; 0: as few as can
            be, and nobody waits for that.
    """

    node_label: str
    group: str
    most: int


@dataclass(frozen=True, slots=True)
class Demand:
    """What one waiting job asks of one node, or of each of several.

    Attributes:
        job_id: the job.
        priority: higher is served first.
        cpu_millis: CPU time in thousandths of a core.
        memory_bytes: memory in bytes.
        gpu_count: GPUs, all on one node and of one type; 0 for none; 1 with a share.
        gpu_type: short type such as `H100`, compared without case; `ANY_GPU_TYPE` for any.
        min_isolation: the weakest isolation level that will do; higher is stronger, 0 for any.
        order: sortable key of submission, such as the job's ULID; equal priorities go by it.
        faults: the nodes that failed it, each once, by their ids.
        pools: the pools on whose nodes it may be, by name; None for any.
        project: whose it is, for reservations.
        user: whose it is in that project, for the same.
        time_limit: how long it may run, with its grace, in microseconds; None: for ever.
        mig_profile: its GPUs are instances of this profile, such as `1g.10gb`, of cards of `gpu_type`;
            empty: of none.
        gpu_memory_bytes: its GPUs have this much memory each, and are whole cards or instances; 0: it
            does not matter.
        gpu_millis: a share of one whole card instead, in thousandths; 0 for none.
        queue: the queue that it is in, for policies.
        submitted_at: when it was submitted (microseconds since 1970, UTC); 0: it does not age.
        start_after: it may not start before (microseconds since 1970); 0: at once.
        awaits: the other jobs that it waits for, in words; empty: none any more. Those that wait are read
            only to explain them.
        on_hold: it is a person for whom it waits, not other jobs.
        expected_run: what was learned of such jobs; None: nothing.
        nodes: of how many different nodes, which it gets all at once.
        min_nodes: with how many of them it makes do.
        topology: how near to each other they are to be.
        spread: it goes where most is free, not where least is left.
        gpu_types: types that will do in the order of wish, instead of one `gpu_type`; empty: that.
        labels: what is asked of the labels of its nodes.
        exclusive: it has its nodes alone and whole; the amounts are the least that they must have.
        whole_cards: its GPUs are whole cards, also where it asks for memory.
        too_large: nodes that are more than its quotas let it hold whole, by their ids.
        reservation: it runs inside this one alone; empty: wherever it may.
        apart: how it is spread, of its own wish.
        beside: how many of those with whom it is spread are in the domain of each node, by the nodes' ids; those
            with none left out. A plan finds that out as it goes on.
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
    mig_profile: str = ""
    gpu_memory_bytes: int = 0
    gpu_millis: int = 0
    queue: str = ""
    submitted_at: int = 0
    start_after: int = 0
    awaits: str = ""
    on_hold: bool = False
    expected_run: RunTime | None = None
    nodes: int = 1
    min_nodes: int = 1
    topology: Topology = Topology()
    spread: bool = False
    gpu_types: tuple[str, ...] = ()
    labels: tuple[LabelRule, ...] = ()
    exclusive: bool = False
    whole_cards: bool = False
    too_large: frozenset[str] = frozenset()
    reservation: str = ""
    apart: Spread | None = None
    beside: tuple[tuple[str, int], ...] = ()

    @property
    def takes_parts(self) -> bool:
        """Whether instances of divided cards will do, whatever type they are, or cards with memory."""
        return bool(self.mig_profile or self.gpu_memory_bytes)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device of a node.

    Attributes:
        uuid: the device's UUID; unique within its node.
        gpu_type: short type such as `H100`.
        healthy: it may be given to jobs.
        held: it is not free: somebody holds it, or several share it, or its card is being divided.
        part: it is an instance of a divided card: for those who ask for such, and for nobody who
            would take any GPU.
        nvlink_peers: UUIDs of the node's other GPUs that it says it reaches over NVLink.
        profile: of which profile, when it is one.
        memory_bytes: its memory; 0 when that is not known.
        going: it will be gone, because its card is being divided anew.
        shared_millis: thousandths of it that are taken, when it is shared.
        sharers: how many share it.
    """

    uuid: str
    gpu_type: str
    healthy: bool
    held: bool
    part: bool = False
    nvlink_peers: frozenset[str] = frozenset()
    profile: str = ""
    memory_bytes: int = 0
    going: bool = False
    shared_millis: int = 0
    sharers: int = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """A size of instance that a card can be divided into. Compute and memory are cut apart.

    Attributes:
        name: such as `1g.10gb`.
        gpu_type: the type of such an instance, such as `H100-1g.10gb`.
        compute_slices: slices of the card's compute.
        memory_slices: slices of the card's memory.
        starts: the slices at which its memory may begin.
        memory_bytes: of an instance; 0 when that is not known.
    """

    name: str
    gpu_type: str
    compute_slices: int
    memory_slices: int
    starts: tuple[int, ...]
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance on a card: its profile and where its memory begins; no UUID before it is there."""

    profile: str
    start: int
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """A card that may be divided, and how it is.

    Attributes:
        uuid: of the card as a whole.
        gpu_type: its type as a whole.
        memory_bytes: its memory as a whole; 0 when that is not known.
        profiles: what it can be divided into.
        divided: it is, perhaps into nothing.
        instances: what it is divided into, each of them also a `Gpu` of the node.
        coming: what it is being divided into, with the UUIDs of those that are there already; empty: it
            is being made whole; None: it stays as it is.
        rests_until: nothing that is on it is taken away before (microseconds since 1970), because it
            was just made; after a failure nothing is made either.
        failed: the last attempt to divide it did.
    """

    uuid: str
    gpu_type: str
    memory_bytes: int
    profiles: tuple[Profile, ...]
    divided: bool = False
    instances: tuple[Instance, ...] = ()
    coming: tuple[Instance, ...] | None = None
    rests_until: int = 0
    failed: bool = False


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
        cards: those of its cards that may be divided to fit demand.
        max_sharers: how many may share one of its GPUs; 0: none may.
        place: its cluster, zone, block and rack; empty where that is not said.
        address: where other nodes reach its tasks; empty: it runs no part of a job of several nodes.
        labels: its labels, by their keys; None: what was only declared may come to have any.
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
    cards: tuple[Card, ...] = ()
    max_sharers: int = 0
    place: tuple[str, str, str, str] = ("", "", "", "")
    address: str = ""
    labels: tuple[tuple[str, str], ...] | None = ()


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
class Running:
    """What holds a part of a node: a run of a job, or an allocation. Times are microseconds since 1970.

    Attributes:
        job_id: the job; empty for an allocation.
        run_id: the run, or the allocation.
        project: whose it is.
        user: whose it is in that project.
        queue: the job's queue.
        priority: the job's priority.
        node_id: where it is.
        cpu_millis: thousandths of a core.
        memory_bytes: bytes.
        gpu_uuids: its GPUs, sorted.
        gpu_type: their type; empty for none.
        gpu_millis: its share of its one GPU, in thousandths; 0: its GPUs are its own.
        started_at: when its command began, or when it was placed while it has not.
        likely_end: as likely as not it is over by then; None: nobody knows.
        expected_end: nine times out of ten it is over by then; None: nobody knows. Neither is before
            the time of the snapshot: what has outlived what was expected gets another one.
        limit_end: it is made to end then; None: it may go on for ever.
        saved_at: up to when its work is in a checkpoint; when it began without one.
        preemptible: it may be stopped for others, and queued again.
        leaving: it is being stopped already.
    """

    job_id: str
    run_id: str
    project: str
    user: str
    queue: str
    priority: int
    node_id: str
    cpu_millis: int
    memory_bytes: int
    gpu_uuids: tuple[str, ...]
    gpu_type: str
    gpu_millis: int
    started_at: int
    likely_end: int | None
    expected_end: int | None
    limit_end: int | None
    saved_at: int
    preemptible: bool
    leaving: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole world at one moment, as one planning cycle sees it.

    Attributes:
        queue: the jobs that wait.
        nodes: all of them.
        pools: what was declared.
        moments: what nodes have at times, and what of that is kept.
        now: microseconds since 1970.
        policies: how to decide.
        shares: what projects and users had lately and have.
        quotas: what projects and users may have, and have.
        running: what holds parts of the nodes; it may be left out where nothing has to wait.
        preemptions: what is remembered of earlier ones.
        queues: those that are paused, or bound how many of their jobs have a place, with those that have.
        groups: of those who are spread together how many parts run on which node, by the names of the groups and
            the nodes' ids; of such groups alone of which some wait.
    """

    queue: tuple[Demand, ...]
    nodes: tuple[NodeState, ...]
    pools: tuple[Pool, ...] = ()
    moments: tuple[Moment, ...] = ()
    now: int = 0
    policies: Policies = NO_POLICIES
    shares: Shares = NO_SHARES
    running: tuple[Running, ...] = ()
    preemptions: Preemptions = NO_PREEMPTIONS
    quotas: tuple[Quota, ...] = ()
    queues: tuple[QueueState, ...] = ()
    groups: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
