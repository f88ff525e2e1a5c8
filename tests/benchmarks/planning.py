"""How fast the scheduler plans, alone and in a whole cycle of the server on SQLite.

Processor time: a plan is made by one thread, and what else runs on the machine is no part of it.
"""

import asyncio
import gc
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from rich.console import Console

from tests.benchmarks import settings as aims
from tests.benchmarks.results import Figure, at_least, at_most
from tests.benchmarks.settings import Settings
from tests.support.jobs import add_jobs, job_columns
from tests.support.nodes import an_inventory
from tests.support.scheduled_world import ScheduledWorld
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.policies import Policies, Policy, PreemptionRules
from windlass_server.scheduler.snapshot import (
    Demand,
    Gpu,
    NodeState,
    Running,
    Snapshot,
    Topology,
)
from windlass_server.scheduler.topology import Level
from windlass_server.storage.engine import open_database
from windlass_server.storage.guard import acting_as

GIB = 1 << 30
GPUS = 8
RACK, BLOCK = 32, 512
GANG = 64
CPU, MEMORY = 128_000, 1024 * GIB
TAKEN_CPU, TAKEN_MEMORY = 4_000, 8 * GIB
# Jobs whose rate is compared at different loads, and how often something short is measured.
COMPARED, TRIES = 2_000, 9
# How many nodes a job asks for that finds no room, and whether others are stopped for it.
BLOCKED = ((1, False), (1, True), (GANG, True))
MINUTE = 60_000_000
NOW = 10_000 * MINUTE


def run(console: Console, settings: Settings) -> Iterator[Figure]:
    """Yield the rates of plans, and what a cycle for one new job takes."""
    jobs, nodes = settings.plan_jobs, settings.plan_nodes
    empty = [a_node(number) for number in range(nodes)]
    rate = placements_per_second(empty, jobs)
    name = f"plan: {jobs:,} jobs of a GPU on {nodes:,} nodes of {GPUS}"
    yield at_least(name, rate, "placements/s", aims.PLACEMENTS_PER_SECOND)
    console.print("  10 and 90 % full", style="dim")
    rates = [placements_per_second(full(empty, tenths), COMPARED) for tenths in (1, 9)]
    yield Figure("plan: 2,000 such jobs at 10 % full", rates[0], "placements/s")
    share = rates[1] / rates[0]
    yield at_least("plan: the rate at 90 % full by that at 10 %", share, "", aims.WHEN_FULL)
    yield at_most(
        f"plan: a job of {GANG} nodes of one block", gang_ms(empty), "ms", aims.GANG_PLAN_MS
    )
    console.print("  nothing free", style="dim")
    blocked, stopping, several = [blocked_ms(empty, *each) for each in BLOCKED]
    name = f"plan: a job without room on {nodes:,} full nodes"
    yield at_most(name, blocked, "ms", aims.BLOCKED_PLAN_MS)
    yield at_most(f"{name} that has one stopped", stopping, "ms", aims.BLOCKED_PLAN_MS)
    yield Figure(f"plan: a job of {GANG} nodes that has {GANG} stopped", several, "ms")
    console.print("  whole cycles", style="dim")
    took = asyncio.run(cycle_ms(nodes))
    yield at_most(f"cycle for one new job on {nodes:,} nodes, p50", took, "ms", aims.CYCLE_MS)


def a_node(number: int) -> NodeState:
    """An empty node, in its rack and block."""
    gpus = tuple(Gpu(f"GPU-{number:05}-{index}", "H100", True, False) for index in range(GPUS))
    name = f"node-{number:05}"
    return NodeState(
        node_id=name,
        name=name,
        ready=True,
        cpu_millis=CPU,
        memory_bytes=MEMORY,
        cpu_free=CPU,
        memory_free=MEMORY,
        gpus=gpus,
        isolation_level=3,
        place=("default", "", f"block-{number // BLOCK:02}", f"rack-{number // RACK:03}"),
        address=f"10.0.{number >> 8}.{number & 255}",
    )


def a_job(number: int) -> Demand:
    job = f"job-{number:06}"
    return Demand(job, number * 7 % 5, TAKEN_CPU, TAKEN_MEMORY, 1, "H100", 0, job)


def full(nodes: Sequence[NodeState], tenths: int) -> list[NodeState]:
    """The nodes with so many tenths of all their GPUs held, spread evenly."""
    return [
        with_held(node, [(number * GPUS + index) % 10 < tenths for index in range(GPUS)])
        for number, node in enumerate(nodes)
    ]


def with_held(node: NodeState, held: Sequence[bool]) -> NodeState:
    gpus = tuple(replace(gpu, held=one) for gpu, one in zip(node.gpus, held, strict=True))
    return replace(
        node,
        gpus=gpus,
        cpu_free=CPU - sum(held) * TAKEN_CPU,
        memory_free=MEMORY - sum(held) * TAKEN_MEMORY,
    )


def placements_per_second(nodes: Sequence[NodeState], jobs: int) -> float:
    """How many places a plan gives away, by what it takes; what is kept between plans is made anew."""
    gc.collect()
    snapshot = Snapshot(tuple(map(a_job, range(jobs))), tuple(nodes))
    before = time.process_time()
    made = plan(snapshot)
    return len(made.placements) / (time.process_time() - before)


def gang_ms(nodes: Sequence[NodeState]) -> float:
    """A plan for one job of many nodes, when the nodes were seen before."""
    near = Topology(required=int(Level.BLOCK))
    job = replace(
        a_job(0), gpu_count=GPUS, cpu_millis=CPU, nodes=GANG, min_nodes=GANG, topology=near
    )
    took = []
    for _ in range(TRIES):
        before = time.process_time()
        made = plan(Snapshot((job,), tuple(nodes)))
        took.append((time.process_time() - before) * 1000)
        assert len(made.placements[0].places) == GANG
    return median(took)


def blocked_ms(nodes: Sequence[NodeState], asked: int, stops: bool) -> float:
    """A plan for a job that finds no room, on nodes on each of which one job runs; another one each time."""
    rules = PreemptionRules(enabled=stops, budget=GANG)
    there = [with_held(node, [True] * GPUS) for node in nodes]
    running = [a_run(node, number) for number, node in enumerate(there)]
    job = replace(a_job(0), priority=100, gpu_count=GPUS, nodes=asked, min_nodes=asked)
    world = Snapshot((job,), tuple(there), now=NOW, policies=Policies(Policy(preemption=rules)))
    took = []
    for number in range(TRIES):
        running[number] = replace(running[number], priority=1)
        snapshot = replace(world, running=tuple(running))
        before = time.process_time()
        made = plan(snapshot)
        took.append((time.process_time() - before) * 1000)
        assert len({one.job_id for one in made.evictions}) == asked * stops
    return median(took)


def a_run(node: NodeState, number: int) -> Running:
    """A job on all GPUs of a node, of no hurry; no two began at the same time."""
    began = NOW - 60 * MINUTE - number * 7919 % 5003 * MINUTE
    return Running(
        job_id=f"low-{node.node_id}",
        run_id=f"run-{node.node_id}",
        project="low",
        user="u",
        queue="",
        priority=0,
        node_id=node.node_id,
        cpu_millis=GPUS * TAKEN_CPU,
        memory_bytes=GPUS * TAKEN_MEMORY,
        gpu_uuids=tuple(gpu.uuid for gpu in node.gpus),
        gpu_type="H100",
        gpu_millis=0,
        started_at=began,
        likely_end=None,
        expected_end=None,
        limit_end=None,
        saved_at=began,
        preemptible=True,
        leaving=False,
    )


async def cycle_ms(nodes: int) -> float:
    """A cycle of the controller that places one new job, from reading the queue to the commit."""
    with tempfile.TemporaryDirectory(prefix="windlass-bench-") as name, acting_as("bench"):
        folder = Path(name)
        database = await open_database(f"sqlite:///{folder / 'windlass.db'}")
        world = await ScheduledWorld.start(database, folder)
        try:
            await add_nodes(world, nodes)
            return median([await one_cycle(world) for _ in range(TRIES)][1:])
        finally:
            await world.logs.close()
            await database.close()


async def add_nodes(world: ScheduledWorld, nodes: int) -> None:
    inventory = an_inventory(cpu_millis=CPU, memory_bytes=MEMORY, gpus=GPUS)
    for number in range(nodes):
        for index, gpu in enumerate(inventory.gpus):
            gpu.uuid = f"GPU-{number:08x}-1111-2222-3333-{index:012x}"
        await world.add_node(
            f"n{number}",
            inventory=inventory.SerializeToString(),
            public_key=b"%d" % number,
            cpu_millis=CPU,
            memory_bytes=MEMORY,
        )


async def one_cycle(world: ScheduledWorld) -> float:
    """Of which the first reads all nodes, as after a start."""
    job = job_columns(gpu_count=1, gpu_type="H100", memory_bytes=GIB)
    await world.database.write(lambda tx: add_jobs(tx, job))
    world.scheduling.world_changed()
    before = time.process_time()
    await world.scheduling.cycle()
    return (time.process_time() - before) * 1000
