"""Builders and an oracle for scheduler tests; the oracle shares no code with the scheduler."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import strategies as st

from windlass_server.scheduler.policies import PACKINGS, Policies, Policy
from windlass_server.scheduler.snapshot import Demand, Fault, Gpu, NodeState, Pool, Snapshot

GIB = 1 << 30


def a_job(
    job_id: str = "job-1",
    *,
    gpus: int = 0,
    gpu_type: str = "",
    cpu: int = 1000,
    memory: int = GIB,
    priority: int = 0,
    isolation: int = 0,
    faults: Mapping[str, int | None] | None = None,
    pools: tuple[str, ...] | None = None,
    share: int = 0,
) -> Demand:
    """A job; `faults` are nodes by their names, with the time until which they are paused.

    With a `share` it asks for so many thousandths of one GPU.
    """
    failed = tuple(Fault(f"node-{name}", until) for name, until in sorted((faults or {}).items()))
    return Demand(
        job_id,
        priority,
        cpu,
        memory,
        1 if share else gpus,
        gpu_type,
        isolation,
        job_id,
        failed,
        pools,
        gpu_millis=share,
    )


def a_node(
    name: str = "n1",
    *,
    gpus: int | Sequence[Gpu] = 0,
    gpu_type: str = "H100",
    held: int = 0,
    sick: int = 0,
    cpu: int = 32_000,
    memory: int = 256 * GIB,
    cpu_free: int | None = None,
    memory_free: int | None = None,
    ready: bool = True,
    takes_work: bool = True,
    isolation: int = 3,
    pool: str = "default",
    sharers: int = 0,
    shared: Sequence[tuple[int, int]] = (),
) -> NodeState:
    """A node; its first `held` GPUs are held and its last `sick` ones unhealthy.

    At most `sharers` may share a GPU; behind those that are held come those that are `shared`, each
    with how many thousandths are taken, and by how many.
    """
    if isinstance(gpus, int):
        gpus = [
            Gpu(f"{name}-{index}", gpu_type, index < gpus - sick, index < held)
            for index in range(gpus)
        ]
    gpus = list(gpus)
    for index, (taken, by) in enumerate(shared, held):
        gpus[index] = replace(gpus[index], held=True, shared_millis=taken, sharers=by)
    return NodeState(
        node_id=f"node-{name}",
        name=name,
        ready=ready,
        cpu_millis=cpu,
        memory_bytes=memory,
        cpu_free=cpu if cpu_free is None else cpu_free,
        memory_free=memory if memory_free is None else memory_free,
        gpus=tuple(gpus),
        isolation_level=isolation,
        takes_work=takes_work,
        pool=pool,
        max_sharers=sharers,
    )


def a_pool(name: str = "big", *, template: NodeState, count: int = 1) -> Pool:
    return Pool(name, template, count)


def emptied(node: NodeState) -> NodeState:
    """The node as it is when it is open and reachable, runs nothing and is repaired."""
    return replace(
        node,
        ready=True,
        takes_work=True,
        cpu_free=node.cpu_millis,
        memory_free=node.memory_bytes,
        gpus=tuple(
            replace(gpu, healthy=True, held=False, shared_millis=0, sharers=0) for gpu in node.gpus
        ),
    )


def could_hold(node: NodeState, job: Demand) -> bool:
    """Whether a node can take a job once it is emptied and has made good whatever it did."""
    return holds(emptied(node), replace(job, faults=()))


def holds(node: NodeState, job: Demand) -> bool:
    """Whether a node can take a job now, written as plainly as it can be."""
    paused = [fault.node_id for fault in job.faults if fault.paused_until is not None]
    usable = [gpu.gpu_type.lower() for gpu in node.gpus if gpu.healthy and not gpu.held]
    wanted = {job.gpu_type.lower()} if job.gpu_type else set(usable)
    if job.gpu_millis:
        enough = any(shares(node, gpu, job) for gpu in node.gpus)
    else:
        enough = job.gpu_count == 0 or any(usable.count(each) >= job.gpu_count for each in wanted)
    return (
        node.ready
        and node.takes_work
        and node.node_id not in paused
        and (job.pools is None or node.pool == "" or node.pool in job.pools)
        and node.cpu_free >= job.cpu_millis
        and node.memory_free >= job.memory_bytes
        and node.isolation_level >= job.min_isolation
        and enough
    )


def shares(node: NodeState, gpu: Gpu, job: Demand) -> bool:
    """Whether a GPU can give a job its share, written as plainly as it can be."""
    fits = gpu.shared_millis + job.gpu_millis <= 1000 and gpu.sharers + 1 <= node.max_sharers
    free = not gpu.held or gpu.shared_millis > 0
    return gpu.healthy and not gpu.part and free and fits and job.gpu_type.lower() in (
        "", gpu.gpu_type.lower()
    )  # fmt: skip


def _with_share(gpu: Gpu, millis: int) -> Gpu:
    taken = gpu.shared_millis + millis
    return replace(gpu, held=True, shared_millis=taken, sharers=gpu.sharers + bool(millis))


def with_job(node: NodeState, job: Demand, gpu_uuids: Sequence[str]) -> NodeState:
    """The node after a job was placed on it."""
    return replace(
        node,
        cpu_free=node.cpu_free - job.cpu_millis,
        memory_free=node.memory_free - job.memory_bytes,
        gpus=tuple(
            _with_share(gpu, job.gpu_millis) if gpu.uuid in gpu_uuids else gpu for gpu in node.gpus
        ),
    )


# Few different values, so that equal demands, ties and exact fits are common.
# Nodes n0 to n3 are those of `snapshots`; n8 is one that there is no more.
_FAULTS = st.dictionaries(
    st.sampled_from(["node-n0", "node-n1", "node-n8"]), st.sampled_from([None, 10**15]), max_size=2
).map(lambda faults: tuple(Fault(*fault) for fault in sorted(faults.items())))
_TYPES = st.sampled_from(["H100", "h100", "L4"])


@st.composite
def demands(draw: st.DrawFn, job_id: str = "job-0") -> Demand:
    share = draw(st.sampled_from([0, 0, 250, 500, 999]))
    return Demand(
        job_id=job_id,
        priority=draw(st.sampled_from([0, 0, 5])),
        cpu_millis=draw(st.sampled_from([0, 1000, 4000])),
        memory_bytes=draw(st.sampled_from([0, GIB, 3 * GIB])),
        gpu_count=1 if share else draw(st.sampled_from([0, 0, 1, 2, 4])),
        gpu_type=draw(st.sampled_from(["", "H100", "h100", "L4"])),
        min_isolation=draw(st.sampled_from([0, 0, 2])),
        order=job_id,
        faults=draw(st.one_of(st.just(()), _FAULTS)),
        pools=draw(st.sampled_from([None, None, (), ("a",), ("a", "b"), ("gone",)])),
        gpu_millis=share,
    )


@st.composite
def nodes(draw: st.DrawFn, name: str = "n0") -> NodeState:
    cpu = draw(st.sampled_from([1000, 4000, 9000]))
    memory = draw(st.sampled_from([GIB, 4 * GIB]))
    types = draw(st.lists(_TYPES, max_size=5))
    gpus = [
        Gpu(
            f"{name}-{index}",
            gpu_type,
            healthy=draw(st.booleans()) or draw(st.booleans()),
            held=held or taken > 0,
            shared_millis=taken,
            sharers=draw(st.integers(1, 3)) if taken else 0,
        )
        for index, gpu_type in enumerate(types)
        for held in [draw(st.booleans()) and draw(st.booleans())]
        for taken in [0 if held else draw(st.sampled_from([0, 0, 250, 500, 750, 1000]))]
    ]
    return a_node(
        name,
        gpus=draw(st.permutations(gpus)),
        cpu=cpu,
        memory=memory,
        cpu_free=cpu - draw(st.sampled_from([0, 0, 1000, 2000])),
        memory_free=memory - draw(st.sampled_from([0, 0, GIB])),
        ready=draw(st.sampled_from([True, True, True, False])),
        takes_work=draw(st.sampled_from([True, True, True, False])),
        isolation=draw(st.sampled_from([1, 3])),
        pool=draw(st.sampled_from(["a", "a", "b", ""])),
        sharers=draw(st.sampled_from([0, 2, 1000])),
    )


@st.composite
def snapshots(draw: st.DrawFn, *, max_jobs: int = 12, max_nodes: int = 4) -> Snapshot:
    jobs = range(draw(st.integers(0, max_jobs)))
    count = draw(st.integers(0, max_nodes))
    pools = [
        a_pool(f"p{index}", template=draw(nodes("t")), count=draw(st.integers(0, 1)))
        for index in range(draw(st.integers(0, 1)))
    ]
    return Snapshot(
        queue=tuple(draw(demands(f"job-{index:02}")) for index in jobs),
        nodes=tuple(draw(nodes(f"n{index}")) for index in range(count)),
        pools=tuple(pools),
        policies=Policies(Policy(packing=draw(st.sampled_from([None, None, *PACKINGS])))),
    )
