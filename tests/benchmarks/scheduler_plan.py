"""How fast the scheduler plans: `python -m tests.benchmarks.scheduler_plan`.

Prints the time of one plan for 10,000 queued jobs on 1,000 nodes of 8 GPUs in five situations,
and the time of one job on one node, which is what the scheduler adds between submit and start.

Then the CPU time of ordering 50,000 jobs of 1,000 users.

Then how long the server's event loop is held up: by the slowest of these plans on the loop itself and
in a thread, and by whole cycles of the controller on SQLite, from reading the queue to telling the last
job why it waits.
"""

import asyncio
import gc
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import uvloop

from tests.support.jobs import add_jobs, job_columns
from tests.support.nodes import an_inventory
from tests.support.scheduled_world import ScheduledWorld
from windlass_server.clock import SystemClock
from windlass_server.controllers.scheduling import Scheduling
from windlass_server.jobs.world import World
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.recent_usage import RecentUsage
from windlass_server.resources.remote_waits import RemoteWaits
from windlass_server.scheduler.fair_share import GPU, Shares
from windlass_server.scheduler.order import in_turn
from windlass_server.scheduler.plan import Plan, plan
from windlass_server.scheduler.policies import BUILT_IN
from windlass_server.scheduler.snapshot import Demand, Gpu, NodeState, Snapshot
from windlass_server.storage.engine import open_database
from windlass_server.storage.guard import acting_as

JOBS = 10_000
NODES = 1_000
GIB = 1 << 30
ORDERED = 50_000
PROJECTS, USERS = 50, 20
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


def everybodys_queue() -> Snapshot:
    """Jobs of many users of many projects, who all had something."""
    queue = tuple(
        replace(
            demand(number, SIZES[number % len(SIZES)]),
            project=f"project-{number * 31 % PROJECTS}",
            user=f"user-{number * 17 % USERS}",
        )
        for number in range(ORDERED)
    )
    had = {
        (f"project-{p}", f"user-{u}"): float((p * 7 + u) * GPU)
        for p in range(PROJECTS)
        for u in range(USERS)
    }
    half_life = BUILT_IN.fair_share.half_life
    return Snapshot(queue, (), shares=Shares({half_life: had}, {}))


def best_of_orders(repeats: int, snapshot: Snapshot) -> float:
    """The shortest CPU time in seconds."""
    shortest = float("inf")
    for _ in range(repeats):
        before = time.process_time()
        in_turn(snapshot)
        shortest = min(shortest, time.process_time() - before)
    return shortest


def best_of(repeats: int, snapshot: Snapshot) -> tuple[float, Plan]:
    """The shortest time in seconds: the others were disturbed."""
    shortest = float("inf")
    for _ in range(repeats):
        before = time.perf_counter()
        result = plan(snapshot)
        shortest = min(shortest, time.perf_counter() - before)
    return shortest, result


class Stalls:
    """How long the loop's other work waits for its turn: a look every millisecond, in seconds."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    @asynccontextmanager
    async def measured(self) -> AsyncIterator[None]:
        looking = asyncio.create_task(self._look())
        await asyncio.sleep(0.02)
        self.seconds.clear()
        try:
            yield
            await asyncio.sleep(0.005)
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking

    async def _look(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            self.seconds.append(time.perf_counter() - before - 0.001)

    def __str__(self) -> str:
        inorder = sorted(self.seconds)
        median, p99 = inorder[len(inorder) // 2], inorder[int(len(inorder) * 0.99)]
        return (
            f"loop held up: longest {inorder[-1] * 1e3:6.1f} ms, p99 {p99 * 1e3:6.1f} ms, "
            f"median {median * 1e3:6.2f} ms"
        )


async def stalls_of_a_plan(snapshot: Snapshot, *, thread: bool) -> tuple[float, Stalls]:
    """The time of a plan in seconds, and what else waited meanwhile."""
    stalls = Stalls()
    async with stalls.measured():
        before = time.perf_counter()
        if thread:
            await asyncio.to_thread(plan, snapshot)
        else:
            plan(snapshot)
        seconds = time.perf_counter() - before
    return seconds, stalls


async def stalls_of_a_cycle(folder: Path, memory: int) -> tuple[float, Stalls]:
    """The same of a cycle of the controller, for jobs of one GPU and so much memory and more."""
    database = await open_database(f"sqlite:///{folder / 'windlass.db'}")
    world = await ScheduledWorld.start(database, folder)
    await fill(world, memory)
    cluster = Cluster(database, (), lambda _node_id: frozenset())
    clock = SystemClock()
    seen = World(database, cluster, clock, RecentUsage(database, clock))
    scheduling = Scheduling(
        database, seen, world.runs, world.layouts, clock, RemoteWaits(), world.lease
    )
    settle_memory()
    stalls = Stalls()
    async with stalls.measured():
        before = time.perf_counter()
        await scheduling.cycle()
        seconds = time.perf_counter() - before
    await world.logs.close()
    await database.close()
    return seconds, stalls


async def fill(world: ScheduledWorld, memory: int) -> None:
    """The nodes, and jobs that are all different."""
    inventory = an_inventory(cpu_millis=128_000, memory_bytes=1024 * GIB, gpus=8)
    size = {"cpu_millis": inventory.cpu_millis, "memory_bytes": inventory.memory_bytes}
    for number in range(NODES):
        await world.add_node(
            f"n{number}", inventory=inventory.SerializeToString(), public_key=b"%d" % number, **size
        )
    for first in range(0, JOBS, 1000):
        jobs = [
            job_columns(gpu_count=1, gpu_type="H100", memory_bytes=memory + number)
            for number in range(first, first + 1000)
        ]
        await world.database.write(lambda tx, jobs=jobs: add_jobs(tx, *jobs))  # type: ignore[misc]


def settle_memory() -> None:
    """As the server does when it has started: what is there now is not looked through again."""
    gc.collect()
    gc.freeze()


async def print_stalls() -> None:
    """What the server's other work notices."""
    settle_memory()
    name = "10,000 shapes, none fits"
    snapshot = SITUATIONS[name]()
    for thread in (False, True):
        seconds, stalls = await stalls_of_a_plan(snapshot, thread=thread)
        where = "in a thread" if thread else "on the loop"
        print(f"{name}, planned {where}: {seconds * 1e3:.0f} ms; {stalls}")
    for name, memory in (("most are placed", 8 * GIB), ("none fits", 1024 * GIB + 1)):
        with tempfile.TemporaryDirectory() as folder, acting_as("bench"):
            seconds, stalls = await stalls_of_a_cycle(Path(folder), memory)
        print(f"whole cycle on SQLite, {name}: {seconds * 1e3:.0f} ms; {stalls}")


def main() -> None:
    print(f"{JOBS} jobs x {NODES} nodes of 8 GPUs")
    for name, build in SITUATIONS.items():
        seconds, result = best_of(3, build())
        placed, waiting = len(result.placements), len(result.waiting)
        print(
            f"  {name:32} {seconds * 1e3:7.0f} ms  {placed:6} placed {waiting:6} waiting"
            f"  {JOBS / seconds:9.0f} decisions/s  {placed / seconds:8.0f} placements/s"
        )
    seconds = best_of_orders(5, everybodys_queue())
    owners = f"{PROJECTS * USERS} users of {PROJECTS} projects"
    print(f"order of {ORDERED} jobs of {owners}: {seconds * 1e3:.0f} ms CPU")
    for name, gpus in (("CPU only", 0), ("1 GPU", 1)):
        seconds, _ = best_of(2_000, Snapshot((demand(0, gpus),), (node(0),)))
        print(f"1 job x 1 node, {name}: {seconds * 1e6:.0f} us")
    seconds, _ = best_of(2_000, Snapshot((demand(0, 8),), (node(0, held=3),)))
    print(f"1 job x 1 node, waits: {seconds * 1e6:.0f} us")
    uvloop.run(print_stalls())


if __name__ == "__main__":
    main()
