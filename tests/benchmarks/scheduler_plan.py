"""How fast the scheduler plans: `python -m tests.benchmarks.scheduler_plan`.

Prints the time of one cycle for 10,000 queued jobs on 1,000 nodes of 8 GPUs in four situations,
and the time of one job on one node, which is what the scheduler adds between submit and start.
"""

import time
from collections.abc import Callable

from windlass_server.scheduler.plan import Plan, plan
from windlass_server.scheduler.snapshot import Demand, Gpu, NodeState, Snapshot

JOBS = 10_000
NODES = 1_000
GIB = 1 << 30
SIZES = (1, 1, 1, 2, 2, 4, 8, 0, 0, 0)


def node(number: int, *, held: int = 0) -> NodeState:
    gpus = tuple(Gpu(f"GPU-{number:04}-{index}", "H100", True, index < held) for index in range(8))
    name = f"node-{number:04}"
    return NodeState(name, name, True, 128_000, 1024 * GIB, 128_000, 1024 * GIB, gpus, 3)


def demand(number: int, gpus: int, *, memory: int = 8 * GIB) -> Demand:
    job = f"job-{number:06}"
    return Demand(job, number * 7 % 5, 4_000, memory, gpus, "H100" if gpus else "", 0, job)


def cluster(held: int = 0) -> tuple[NodeState, ...]:
    return tuple(node(number, held=held) for number in range(NODES))


SITUATIONS: dict[str, Callable[[], Snapshot]] = {
    "one shape, all fit for 8,000": lambda: Snapshot(
        tuple(demand(number, 1) for number in range(JOBS)), cluster()
    ),
    "six shapes, cluster fills up": lambda: Snapshot(
        tuple(demand(number, SIZES[number % len(SIZES)]) for number in range(JOBS)), cluster()
    ),
    "10,000 shapes, most are placed": lambda: Snapshot(
        tuple(demand(number, 1, memory=8 * GIB + number) for number in range(JOBS)), cluster()
    ),
    "one shape, none fits": lambda: Snapshot(
        tuple(demand(number, 8) for number in range(JOBS)), cluster(held=3)
    ),
    "10,000 shapes, none fits": lambda: Snapshot(
        tuple(demand(number, 8, memory=8 * GIB + number) for number in range(JOBS)), cluster(held=3)
    ),
}


def best_of(repeats: int, snapshot: Snapshot) -> tuple[float, Plan]:
    """The shortest time in seconds: the others were disturbed."""
    shortest = float("inf")
    for _ in range(repeats):
        before = time.perf_counter()
        result = plan(snapshot)
        shortest = min(shortest, time.perf_counter() - before)
    return shortest, result


def main() -> None:
    print(f"{JOBS} jobs x {NODES} nodes of 8 GPUs")
    for name, build in SITUATIONS.items():
        seconds, result = best_of(3, build())
        placed, waiting = len(result.placements), len(result.waiting)
        print(
            f"  {name:32} {seconds * 1e3:7.0f} ms  {placed:6} placed {waiting:6} waiting"
            f"  {JOBS / seconds:9.0f} decisions/s  {placed / seconds:8.0f} placements/s"
        )
    for name, gpus in (("CPU only", 0), ("1 GPU", 1)):
        seconds, _ = best_of(2_000, Snapshot((demand(0, gpus),), (node(0),)))
        print(f"1 job x 1 node, {name}: {seconds * 1e6:.0f} us")
    seconds, _ = best_of(2_000, Snapshot((demand(0, 8),), (node(0, held=3),)))
    print(f"1 job x 1 node, waits: {seconds * 1e6:.0f} us")


if __name__ == "__main__":
    main()
