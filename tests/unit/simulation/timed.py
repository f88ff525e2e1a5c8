"""Builders for jobs with times, and an oracle that shares no code with the simulation."""

from collections import defaultdict

from windlass_server.scheduler.snapshot import Demand, NodeState
from windlass_server.simulation.clusters import node
from windlass_server.simulation.outcome import Outcome
from windlass_server.simulation.turns import BY_NAME
from windlass_server.simulation.virtual_time import play
from windlass_server.simulation.workload import SECOND, TimedJob, Workload

GIB = 1 << 30


def a_node(name: str = "n1", gpus: int = 8, cpu: int = 64, sharers: int = 0) -> NodeState:
    return node(name, gpus, "H100" if gpus else "", cpu * 1000, 512 * GIB, sharers)


def a_job(
    number: int,
    at: float = 0,
    takes: float = 10,
    gpus: int = 1,
    *,
    limit: float | None = None,
    priority: int = 0,
    project: str = "default",
    user: str = "",
    share: int = 0,
    gpu_type: str = "",
    cpu: int = 1000,
    nodes: int = 1,
) -> TimedJob:
    """The job with this number in its trace; times are in seconds."""
    demand = Demand(
        job_id=f"job-{number}",
        priority=priority,
        cpu_millis=cpu,
        memory_bytes=GIB,
        gpu_count=1 if share else gpus,
        gpu_type=gpu_type,
        min_isolation=0,
        order=f"job-{number}",
        project=project,
        user=user,
        time_limit=None if limit is None else round(limit * SECOND),
        gpu_millis=share,
        nodes=nodes,
        min_nodes=nodes,
    )
    return TimedJob(demand, "", round(at * SECOND), round(takes * SECOND))


def played(policy: str, jobs: list[TimedJob], *nodes: NodeState) -> Outcome:
    workload = Workload(nodes or (a_node(),), tuple(sorted(jobs, key=lambda job: job.submitted_at)))
    return play(workload, BY_NAME[policy])


def starts(outcome: Outcome) -> dict[str, float | None]:
    """When each job started, in seconds."""
    return {
        fate.job.demand.job_id: None if fate.started_at is None else fate.started_at / SECOND
        for fate in outcome.fates
    }


def most_held(outcome: Outcome) -> dict[tuple[str, str], int]:
    """By node and resource the most that was held of it at one time."""
    changes = defaultdict[tuple[str, str], list[tuple[int, int]]](list)
    for fate in outcome.fates:
        if fate.started_at is None or fate.ended_at is None:
            continue
        demand = fate.job.demand
        held = {
            "gpu": demand.gpu_millis or demand.gpu_count * 1000,
            "cpu": demand.cpu_millis,
            "memory": demand.memory_bytes,
        }
        for resource, size in held.items():
            for node_id in fate.node_ids:
                changes[node_id, resource] += [(fate.started_at, size), (fate.ended_at, -size)]
    most = dict[tuple[str, str], int]()
    for key, steps in changes.items():
        now = peak = 0
        for _, step in sorted(steps):  # what ends at a moment is gone before others start
            now += step
            peak = max(peak, now)
        most[key] = peak
    return most
