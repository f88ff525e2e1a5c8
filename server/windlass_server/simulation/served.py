"""Plays what `ResourcesService.Simulate` was asked for, in a process of its own.

A serialized `SimulateRequest` on standard input, a serialized `SimulateResponse` on standard output. So
the server goes on answering meanwhile, and a simulation that takes too long can be ended.
"""

import os

# Before numpy, as in `__main__`.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import sys
from collections.abc import Iterator

from windlass.resources.v1 import resources_service_pb2, simulation_pb2
from windlass_server.resources.scheduling_policy_message import policy_of
from windlass_server.scheduler.policies import Policies
from windlass_server.scheduler.snapshot import Demand, NodeState
from windlass_server.simulation.clusters import node
from windlass_server.simulation.csv_jobs import job_id
from windlass_server.simulation.measures import Spread, measured
from windlass_server.simulation.outcome import Outcome
from windlass_server.simulation.turns import BY_NAME, DEFAULT, Turns
from windlass_server.simulation.virtual_time import play
from windlass_server.simulation.workload import SECOND, TimedJob, Workload
from windlass_server.timestamps import duration_from_proto

_pb = simulation_pb2
# Others on this machine, such as the server, come first.
_NICE = 10
_CPU_MILLIS, _MEMORY_BYTES = 1000, 256 << 20


def main() -> int:
    """Read, play, write."""
    os.nice(_NICE)
    request = resources_service_pb2.SimulateRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(answer(request).SerializeToString())
    return 0


def answer(
    request: resources_service_pb2.SimulateRequest,
) -> resources_service_pb2.SimulateResponse:
    """Play a request, which has nodes, under each of its policies."""
    jobs = [_job(job, number) for number, job in enumerate(request.jobs)]
    in_turn = sorted(jobs, key=lambda job: (job.submitted_at, job.demand.order))
    workload = Workload(tuple(_nodes(request)), tuple(in_turn))
    results = [_result(play(workload, turns)) for turns in _turns(request)]
    return resources_service_pb2.SimulateResponse(results=results)


def _turns(request: resources_service_pb2.SimulateRequest) -> Iterator[Turns]:
    names = list(request.policies)
    if request.HasField("policy"):
        yield from (BY_NAME[name] for name in names)
        yield Turns(request.policy.policy_id, Policies(policy_of(request.policy)))
    else:
        yield from (BY_NAME[name] for name in names or [DEFAULT])


def _nodes(request: resources_service_pb2.SimulateRequest) -> Iterator[NodeState]:
    number = 0
    for kind in request.nodes:
        for _ in range(max(kind.count, 1)):
            name = f"node-{number:05}"
            yield node(name, kind.gpu_count, kind.gpu_type, kind.cpu_millis, kind.memory_bytes)
            number += 1


def _job(job: _pb.SimulatedJob, number: int) -> TimedJob:
    identity = job_id(number)
    nodes = max(job.nodes, 1)
    limit = duration_from_proto(job.time_limit) if job.HasField("time_limit") else None
    demand = Demand(
        job_id=identity,
        priority=job.priority,
        cpu_millis=job.cpu_millis or _CPU_MILLIS,
        memory_bytes=job.memory_bytes or _MEMORY_BYTES,
        gpu_count=job.gpu_count,
        gpu_type=job.gpu_type if job.gpu_count else "",
        gpu_types=tuple(job.gpu_types) if job.gpu_count else (),
        min_isolation=0,
        order=identity,
        project=job.project or "default",
        user=job.user,
        time_limit=limit,
        queue=job.queue or "default",
        nodes=nodes,
        min_nodes=nodes,
    )
    submitted = duration_from_proto(job.submit_time)
    return TimedJob(demand, "", submitted, duration_from_proto(job.run_time))


def _result(outcome: Outcome) -> _pb.SimulationResult:
    found = measured(outcome)
    fates = sorted(outcome.fates, key=lambda fate: fate.job.demand.job_id)
    return _pb.SimulationResult(
        policy=found.policy,
        finished=found.finished,
        timed_out=found.timed_out,
        unplaced=[
            _pb.UnplacedJob(index=index, reason=fate.reason, message=fate.message)
            for index, fate in enumerate(fates)
            if fate.started_at is None
        ],
        wait_seconds=_spread(found.wait),
        completion_seconds=_spread(found.completion),
        bounded_slowdown=_spread(found.slowdown),
        first_in_line_seconds=_spread(found.first),
        allocation_percent=found.allocation,
        fragmentation_percent=found.fragmentation or 0.0,
        makespan_seconds=found.makespan,
        jain_projects=found.jain_projects,
        jain_users=found.jain_users,
        start_seconds=[
            -1.0 if fate.started_at is None else fate.started_at / SECOND for fate in fates
        ],
    )


def _spread(spread: Spread) -> _pb.SimulatedSpread:
    return _pb.SimulatedSpread(
        mean=spread.mean, p50=spread.p50, p90=spread.p90, p99=spread.p99, max=spread.most
    )


if __name__ == "__main__":
    sys.exit(main())
