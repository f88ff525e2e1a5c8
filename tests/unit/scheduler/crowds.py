"""Worlds in which jobs run and others wait, and what becomes of them when some are stopped: shared by tests of preemption."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tests.unit.scheduler.worlds import GIB, a_job
from windlass_server.scheduler.plan import Plan
from windlass_server.scheduler.policies import Policies, Policy, PreemptionRules
from windlass_server.scheduler.preempting import Preemptions
from windlass_server.scheduler.snapshot import Demand, Gpu, Moment, NodeState, Running, Snapshot

SECOND = 1_000_000
MINUTE = 60 * SECOND
NOW = 1000 * MINUTE
ON = PreemptionRules(enabled=True)


def policies(rules: PreemptionRules = ON) -> Policies:
    return Policies(cluster=Policy(preemption=rules))


def a_run(
    job_id: str,
    node: str = "n1",
    *,
    gpus: Sequence[int] = (),
    share: int = 0,
    cpu: int = 1000,
    memory: int = GIB,
    priority: int = 0,
    project: str = "low",
    ran: int = 60 * MINUTE,
    unsaved: int | None = None,
    preemptible: bool = True,
    leaving: bool = False,
) -> Running:
    """A run of a job; it has run for `ran`, of which `unsaved` is in no checkpoint (None: all)."""
    return Running(
        job_id=job_id,
        run_id=f"run-{job_id}-{node}",
        project=project,
        user="u",
        queue="",
        priority=priority,
        node_id=f"node-{node}",
        cpu_millis=cpu,
        memory_bytes=memory,
        gpu_uuids=tuple(f"{node}-{index}" for index in gpus),
        gpu_type="H100" if gpus else "",
        gpu_millis=share,
        started_at=NOW - ran,
        likely_end=None,
        expected_end=None,
        limit_end=None,
        saved_at=NOW - (ran if unsaved is None else unsaved),
        preemptible=preemptible,
        leaving=leaving,
    )


def filled(node: NodeState, runs: Iterable[Running]) -> NodeState:
    """The node with these runs on it."""
    here = [run for run in runs if run.node_id == node.node_id]
    taken = {uuid: run.gpu_millis for run in here for uuid in run.gpu_uuids}
    sharing = [uuid for run in here if run.gpu_millis for uuid in run.gpu_uuids]
    shares = {
        uuid: sum(run.gpu_millis for run in here if uuid in run.gpu_uuids) for uuid in sharing
    }
    return replace(
        node,
        cpu_free=node.cpu_millis - sum(run.cpu_millis for run in here),
        memory_free=node.memory_bytes - sum(run.memory_bytes for run in here),
        gpus=tuple(
            replace(
                gpu,
                held=gpu.held or gpu.uuid in taken,
                shared_millis=shares.get(gpu.uuid, 0),
                sharers=sharing.count(gpu.uuid),
            )
            for gpu in node.gpus
        ),
    )


def a_world(
    jobs: Sequence[Demand],
    nodes: Sequence[NodeState],
    runs: Sequence[Running],
    rules: PreemptionRules = ON,
    preemptions: Preemptions | None = None,
    moments: Sequence[Moment] = (),
) -> Snapshot:
    return Snapshot(
        queue=tuple(jobs),
        nodes=tuple(filled(node, runs) for node in nodes),
        moments=tuple(moments),
        now=NOW,
        policies=policies(rules),
        running=tuple(runs),
        preemptions=preemptions or Preemptions(),
    )


def stopped(result: Plan, for_job: str = "high") -> set[str]:
    return {one.job_id for one in result.evictions if one.for_job_id == for_job}


def high(gpus: int = 1, **values: object) -> Demand:
    return replace(a_job("high", gpus=gpus, priority=100), project="vip", **values)  # type: ignore[arg-type]


def without(nodes: Sequence[NodeState], runs: Iterable[Running]) -> dict[str, NodeState]:
    """The nodes when these runs have left, written as plainly as it can be."""
    state = {node.node_id: node for node in nodes}
    for run in runs:
        node = state[run.node_id]
        state[run.node_id] = replace(
            node,
            cpu_free=node.cpu_free + run.cpu_millis,
            memory_free=node.memory_free + run.memory_bytes,
            gpus=tuple(_let_go(gpu, run) for gpu in node.gpus),
        )
    return state


def _let_go(gpu: Gpu, run: Running) -> Gpu:
    if gpu.uuid not in run.gpu_uuids:
        return gpu
    left = gpu.sharers - 1 if run.gpu_millis else 0
    taken = gpu.shared_millis - run.gpu_millis if left else 0
    return replace(gpu, held=left > 0, sharers=max(left, 0), shared_millis=taken)


def may_go(run: Running, job: Demand) -> bool:
    old = NOW - run.started_at >= ON.min_run
    return run.preemptible and not run.leaving and run.priority < job.priority and old


def price(runs: Iterable[Running]) -> tuple[object, ...]:
    runs = list(runs)
    gpus = [(run.gpu_millis or 1000 * len(run.gpu_uuids)) * (NOW - run.saved_at) for run in runs]
    return (
        len(runs),
        sum(gpus),
        sorted((run.priority for run in runs), reverse=True),
        sorted(-run.started_at for run in runs),
    )
