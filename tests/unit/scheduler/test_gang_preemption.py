"""Who is stopped so that a job of several nodes has room: the fewest, then the cheapest; all of it fits then, or nobody."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.scheduler.crowds import (
    MINUTE,
    NOW,
    ON,
    a_run,
    a_world,
    may_go,
    policies,
    stopped,
    without,
)
from tests.unit.scheduler.test_gang import domain, kinds
from tests.unit.scheduler.worlds import GIB, a_job, a_node, holds, with_job
from windlass_server.scheduler.gang import Reach
from windlass_server.scheduler.outlook import Verdict, outlook
from windlass_server.scheduler.plan import Plan, plan
from windlass_server.scheduler.preempting import MakingRoom, Preemptions
from windlass_server.scheduler.quota import Dimension, Quota
from windlass_server.scheduler.snapshot import (
    Demand,
    Kept,
    Moment,
    NodeState,
    Running,
    Snapshot,
    Topology,
)
from windlass_server.scheduler.topology import Level

pytestmark = pytest.mark.timeout(120)


def gang(
    count: int, least: int = 0, *, gpus: int = 1, required: int = 0, preferred: int = 0, **job
) -> Demand:
    """A job of priority 100 of `count` nodes, or of `least` at least."""
    made = replace(a_job("high", gpus=gpus, priority=100), project="vip")
    wanted = Topology(required, preferred)
    return replace(made, nodes=count, min_nodes=least or count, topology=wanted, **job)


def in_racks(*counts: int, gpus: int = 1, **node) -> list[NodeState]:
    """Racks of so many nodes each in one block: those of the first are n00, n01 and so on."""
    return [
        placed(a_node(f"n{rack}{number}", gpus=gpus, **node), f"r{rack}")
        for rack, count in enumerate(counts)
        for number in range(count)
    ]


def placed(node: NodeState, rack: str = "") -> NodeState:
    return replace(node, place=("c", "", "b", rack), address="10.0.0.1")


def a_gang_run(job_id: str, *nodes: str, gpus: Sequence[int] = (0,), **values) -> list[Running]:
    return [a_run(job_id, node, gpus=gpus, **values) for node in nodes]


def places(result: Plan) -> set[str]:
    return {node for one in result.evictions for node in one.places}


def test_enough_are_stopped_for_all_of_it_and_each_is_told_where_its_place_goes():
    runs = [a_run("a", "n00", gpus=[0]), a_run("b", "n01", gpus=[0])]
    result = plan(a_world([gang(2)], in_racks(2), runs))
    both = ("node-n00", "node-n01")
    assert [(one.job_id, one.for_job_id, one.node_id, one.places) for one in result.evictions] == [
        ("a", "high", "node-n00", both),
        ("b", "high", "node-n01", both),
    ]
    (waiting,) = result.waiting
    assert (waiting.reason, waiting.message) == (
        "MAKING_ROOM",
        "2 jobs are being stopped for it on 2 nodes",
    )


def test_who_only_asks_is_told_whom_it_would_have_stopped():
    runs = [*a_gang_run("wide", "n00", "n01"), a_run("b", "n02", gpus=[0])]
    found = outlook(a_world([gang(3)], in_racks(3), runs), "high")
    assert {each.job_id for each in found.evictions} == {"wide", "b"}
    assert (found.verdict, found.message) == (
        Verdict.WAITS,
        "2 jobs would be stopped to make room for it",
    )


ONE = [a_run("a", "n00", gpus=[0]), a_run("b", "n01", gpus=[0])]


@pytest.mark.parametrize(
    ("_case", "job", "racks", "runs", "expected"),
    [
        ("all of it", gang(2), (2,), ONE, "a b"),
        ("one place is there", gang(2), (3,), ONE, "a"),
        ("it makes do with fewer", gang(3, 1), (2,), ONE, "a"),
        ("one may not go", gang(2), (2,), [ONE[0], replace(ONE[1], preemptible=False)], ""),
        ("one is an equal", gang(2), (2,), [ONE[0], replace(ONE[1], priority=100)], ""),
        ("too few nodes", gang(3), (2,), ONE, ""),
        (
            "a gang goes as a whole, which is fewer than two jobs",
            gang(2), (4,), [*ONE, *a_gang_run("wide", "n02", "n03")], "wide",
        ),
        (
            "two that lose less than a gang and another are as many",
            gang(2), (3,), [*ONE, *a_gang_run("wide", "n02", "gone")], "a b",
        ),
        (
            "a gang and another are fewer than three",
            gang(3), (5,),
            [*ONE, a_run("c", "n02", gpus=[0]), *a_gang_run("wide", "n03", "n04")], "a wide",
        ),
        (
            "the cheapest",
            gang(2), (4,),
            [
                *ONE,
                a_run("c", "n02", gpus=[0], unsaved=MINUTE),
                a_run("d", "n03", gpus=[0], unsaved=MINUTE),
            ],
            "c d",
        ),
        (
            "what all ranks of a gang lose counts",
            gang(2), (5,),
            [
                *a_gang_run("two", "n00", "n01", unsaved=30 * MINUTE),
                *a_gang_run("three", "n02", "n03", "n04", unsaved=25 * MINUTE),
            ],
            "two",
        ),
        (
            "in one rack, though it is dearer",
            gang(2, required=Level.RACK), (2, 1, 1),
            [
                *ONE,
                a_run("c", "n10", gpus=[0], unsaved=0),
                a_run("d", "n20", gpus=[0], unsaved=0),
            ],
            "a b",
        ),
        (
            "rather in one rack",
            gang(2, preferred=Level.RACK), (2, 1, 1),
            [
                *ONE,
                a_run("c", "n10", gpus=[0], unsaved=0),
                a_run("d", "n20", gpus=[0], unsaved=0),
            ],
            "a b",
        ),
        (
            "elsewhere where no rack will do",
            gang(2, preferred=Level.RACK), (1, 1, 1),
            [
                a_run("a", "n00", gpus=[0], preemptible=False),
                a_run("c", "n10", gpus=[0], unsaved=0),
                a_run("d", "n20", gpus=[0], unsaved=0),
            ],
            "c d",
        ),
        (
            "wherever it costs least, when it does not matter",
            gang(2), (2, 1, 1),
            [
                *ONE,
                a_run("c", "n10", gpus=[0], unsaved=0),
                a_run("d", "n20", gpus=[0], unsaved=0),
            ],
            "c d",
        ),
        (
            "a card that leaves already is waited for",
            gang(2), (3,), [replace(ONE[0], leaving=True), ONE[1], a_run("c", "n02", gpus=[0], unsaved=0)],
            "c",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)  # fmt: skip
def test_whom_a_job_of_several_nodes_stops(_case, job, racks, runs, expected):
    assert stopped(plan(a_world([job], in_racks(*racks), runs))) == set(expected.split())


def test_a_budget_holds_for_a_job_of_several_nodes():
    for budget, expected in [(1, set()), (2, {"a", "b"})]:
        result = plan(a_world([gang(2)], in_racks(2), ONE, replace(ON, budget=budget)))
        assert stopped(result) == expected


def test_nobody_takes_nodes_that_a_job_of_several_of_higher_priority_was_promised():
    runs = [replace(run, expected_end=NOW + 10 * MINUTE) for run in ONE]
    fixed = replace(
        a_run("fixed", "n02", gpus=[0], preemptible=False), expected_end=NOW + 10 * MINUTE
    )
    top = replace(gang(3), job_id="top", order="top", priority=200)
    world = a_world([top, gang(2)], in_racks(3), [*runs, fixed])
    assert plan(world).evictions == ()
    short = replace(world, queue=(top, gang(2, time_limit=9 * MINUTE)))
    assert stopped(plan(short)) == {"a", "b"}


def test_what_leaves_that_a_reservation_is_for_leaves_its_room_to_that():
    kept = Kept("res-1", "low", frozenset(), 0, 0, 0, "H100", NOW + MINUTE)
    moment = Moment("node-n00", NOW, 31_000, 255 * GIB, {}, (kept,))
    assert plan(a_world([gang(2)], in_racks(2), ONE, moments=[moment])).evictions == ()
    other = replace(moment, kept=(replace(kept, project="other"),))
    assert stopped(plan(a_world([gang(2)], in_racks(2), ONE, moments=[other]))) == {"a", "b"}


def test_a_project_takes_back_with_a_job_of_several_nodes_what_it_can_count_on():
    def quota(project: str, guaranteed: int, used: int) -> Quota:
        amounts = {
            "guaranteed": {Dimension.GPU: guaranteed * 1000},
            "used": {Dimension.GPU: used * 1000},
        }
        return Quota(f"q-{project}", project, cohort="all", **amounts)

    runs = [replace(run, priority=100) for run in (*ONE, a_run("c", "n02", gpus=[0]))]
    world = a_world([gang(3, 2)], in_racks(3), runs)
    for vip, low, expected in [(2, 1, 2), (3, 0, 2), (1, 1, 0), (2, 2, 0)]:
        quotas = quota("vip", vip, 0), quota("low", low, 3)
        assert len(stopped(plan(replace(world, quotas=quotas)))) == expected, (vip, low)


# --- what is made free is kept -------------------------------------------------------------------


def making_room(leaving: int, *, awaited: bool = False) -> Preemptions:
    nodes = ("node-n00", "node-n01")
    return Preemptions(making_room=(MakingRoom("high", nodes, leaving, 1, awaited),))


def test_a_node_that_is_free_already_is_kept_while_others_leave():
    going = [a_run("going", "n00", gpus=[0], leaving=True)]
    small = replace(a_job("small", gpus=1), time_limit=MINUTE)
    world = a_world([gang(2), small], in_racks(2), going, preemptions=making_room(1))
    result = plan(world)
    assert (result.placements, result.evictions) == ((), ())
    told = {one.job_id: one.message for one in result.waiting}
    assert told["high"] == "1 job is being stopped for it on 2 nodes; 1 of them still there"
    assert plan(replace(world, preemptions=Preemptions())).placements


def test_a_node_too_few_lets_others_be_stopped():
    """One of its places is gone for good."""
    going = [a_run("going", "n00", gpus=[0], leaving=True)]
    there = [one for one in in_racks(3) if one.name != "n01"]
    runs = [*going, a_run("low", "n02", gpus=[0])]
    assert stopped(plan(a_world([gang(2)], there, runs, preemptions=making_room(1)))) == {"low"}


def test_nobody_else_is_stopped_while_one_of_its_nodes_may_well_be_back():
    there = in_racks(3)
    there[1] = replace(there[1], ready=False)
    runs = [a_run("going", "n00", gpus=[0], leaving=True), a_run("low", "n02", gpus=[0])]
    for awaited, expected in [(True, set()), (False, {"low"})]:
        preemptions = making_room(1, awaited=awaited)
        assert stopped(plan(a_world([gang(2)], there, runs, preemptions=preemptions))) == expected


# --- properties ----------------------------------------------------------------------------------


@st.composite
def crowded(draw: st.DrawFn) -> Snapshot:
    """Some nodes that are rather full, with jobs of one node and of several, and a few jobs that wait."""
    nodes, runs = [], list[Running]()
    count = draw(st.integers(2, 5))
    free = dict[str, list[int]]()
    for number in range(count):
        name, gpus = f"n{number}", draw(st.sampled_from([1, 2, 2, 3]))
        node = a_node(
            name,
            gpus=gpus,
            gpu_type=draw(st.sampled_from(["H100", "H100", "L4"])),
            cpu=draw(st.sampled_from([4000, 8000])),
            memory=8 * GIB,
            ready=draw(st.sampled_from([True] * 5 + [False])),
            sick=draw(st.sampled_from([0] * 5 + [1])),
        )
        nodes.append(placed(node, draw(st.sampled_from(["r0", "r1"]))))
        free[name] = [*range(gpus)]
    cpu = {node.name: node.cpu_millis for node in nodes}
    for number in range(draw(st.integers(1, 6))):
        gpus, asked = draw(st.sampled_from([0, 1, 1, 1, 2])), draw(st.sampled_from([1000, 3000]))
        able = [name for name in free if len(free[name]) >= gpus and cpu[name] >= asked]
        width = min(draw(st.sampled_from([1, 1, 2, 3])), len(able))
        values = {
            "priority": draw(st.sampled_from([0, 0, 1, 2])),
            "ran": draw(st.sampled_from([1, 10, 20])) * MINUTE,
            "unsaved": draw(st.sampled_from([0, 1, 1, 3])) * MINUTE,
            "preemptible": draw(st.sampled_from([True] * 5 + [False])),
            "leaving": draw(st.sampled_from([False] * 9 + [True])),
        }
        for name in draw(st.permutations(able))[:width]:
            node = next(node for node in nodes if node.name == name)
            taken, free[name] = free[name][:gpus], free[name][gpus:]
            cpu[name] -= asked
            run = a_run(f"run-{number}", name, gpus=taken, cpu=asked, memory=0, **values)
            runs.append(replace(run, gpu_type=node.gpus[0].gpu_type if taken else ""))
    jobs = []
    for number in range(draw(st.integers(1, 3))):
        width = draw(st.sampled_from([1, 2, 2, 3]))
        required = draw(st.sampled_from([0, 0, Level.RACK]))
        preferred = 0 if required else draw(st.sampled_from([0, 0, Level.RACK]))
        job = gang(
            width,
            draw(st.integers(1, width)),
            gpus=draw(st.sampled_from([0, 1, 1, 2])),
            required=required if width > 1 else 0,
            preferred=preferred if width > 1 else 0,
            job_id=f"job-{number}",
            order=f"job-{number}",
            priority=draw(st.integers(0, 3)),
            cpu_millis=draw(st.sampled_from([1000, 4000])),
            memory_bytes=0,
        )
        jobs.append(job)
    return a_world(jobs, nodes, runs)


def room_in(nodes: Iterable[NodeState], job: Demand, reach: int) -> int:
    """In how many nodes of one domain a job could have a part, written as plainly as it can be."""
    depth = 4 if reach == Level.RACK else 1
    best = 0
    for kind in kinds(job):
        able = [node for node in nodes if node.address and holds(node, kind)]
        best = max(
            [best, *Counter(domain(node, 0)[:1] + node.place[1:depth] for node in able).values()]
        )
    return best


def price(runs: Iterable[Running]) -> tuple[object, ...]:
    """What it costs to stop these runs, which are all that their jobs have."""
    jobs: dict[str, list[Running]] = {}
    for run in runs:
        jobs.setdefault(run.job_id, []).append(run)
    lost = [
        1000 * len(run.gpu_uuids) * (NOW - run.saved_at) for runs in jobs.values() for run in runs
    ]
    return (
        len(jobs),
        sum(lost),
        sorted((those[0].priority for those in jobs.values()), reverse=True),
        sorted(-min(run.started_at for run in those) for those in jobs.values()),
    )


def of_job(world: Snapshot, job_id: str) -> list[Running]:
    return [run for run in world.running if run.job_id == job_id]


def best_price(world: Snapshot, job: Demand) -> tuple[object, ...] | None:
    """What the best of all sets of jobs costs without which a job has room; None where none will do."""
    going = [run for run in world.running if run.leaving]
    jobs = sorted({run.job_id for run in world.running})
    able = [one for one in jobs if all(may_go(run, job) for run in of_job(world, one))]
    widest = job.topology.required or Reach.CLUSTER
    levels = {job.topology.preferred or widest, widest} if job.nodes > 1 else {Reach.CLUSTER}
    for reach in sorted(levels):
        prices = []
        for size in range(len(able) + 1):
            for chosen in combinations(able, size):
                runs = [run for one in chosen for run in of_job(world, one)]
                nodes = without(world.nodes, [*going, *runs]).values()
                if job.nodes == 1:
                    enough = any(holds(node, job) for node in nodes)
                else:
                    enough = room_in(nodes, job, reach) >= job.min_nodes
                if enough:
                    prices.append(price(runs))
        if prices:
            return min(prices)
    return None


@given(crowded())
@settings(max_examples=200)
def test_when_they_have_gone_the_whole_job_fits_and_no_better_set_does(world: Snapshot):
    """One job that waits at a time, against all sets of victims there are."""
    waiting = {one.job_id for one in plan(world).waiting}
    for job in world.queue:
        if job.job_id not in waiting:
            continue
        result = plan(replace(world, queue=(job,)))
        if result.placements:
            continue
        best = best_price(world, job)
        chosen = [run for run in world.running if run.job_id in stopped(result, job.job_id)]
        assert {run.run_id for run in chosen} == {one.run_id for one in result.evictions}
        if best is None or best[0] == 0:
            assert chosen == []
            continue
        assert price(chosen) == best
        going = [run for run in world.running if run.leaving]
        state = without(world.nodes, [*going, *chosen])
        if job.nodes > 1:
            there = places(result) or {result.evictions[0].node_id}
            assert len(there) == job.min_nodes
            reach = job.topology.required or Reach.CLUSTER
            assert room_in([state[node] for node in there], job, reach) == job.min_nodes


@given(crowded(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(world: Snapshot, rng):
    mixed = replace(
        world,
        queue=tuple(rng.sample(world.queue, len(world.queue))),
        nodes=tuple(rng.sample(world.nodes, len(world.nodes))),
        running=tuple(rng.sample(world.running, len(world.running))),
    )
    assert plan(mixed) == plan(world)


def carried_out(world: Snapshot, result: Plan) -> Snapshot:
    """The world when all have left who were to leave, and who was stopped waits again."""
    going = {one.run_id for one in result.evictions} | {
        run.run_id for run in world.running if run.leaving
    }
    jobs = {job.job_id: job for job in world.queue}
    state = without(world.nodes, [run for run in world.running if run.run_id in going])
    started, placed_ids = list[Running](), {one.job_id for one in result.placements}
    for one in result.placements:
        job = jobs[one.job_id]
        for place in one.places:
            node = state[place.node_id]
            state[place.node_id] = with_job(node, job, place.gpu_uuids)
            run = a_run(job.job_id, node.name, cpu=job.cpu_millis, memory=0, priority=job.priority)
            gpu_type = node.gpus[0].gpu_type if place.gpu_uuids else ""
            started.append(replace(run, gpu_uuids=place.gpu_uuids, gpu_type=gpu_type))
    again = []
    for job_id in sorted({run.job_id for run in world.running if run.run_id in going}):
        runs = of_job(world, job_id)
        job = a_job(
            job_id, gpus=len(runs[0].gpu_uuids), cpu=runs[0].cpu_millis, memory=0,
            priority=runs[0].priority,
        )  # fmt: skip
        again.append(replace(job, project="low", nodes=len(runs), min_nodes=len(runs)))
    rooms = {
        one.for_job_id: MakingRoom(one.for_job_id, one.places or (one.node_id,), 0, 1)
        for one in result.evictions
    }
    return replace(
        world,
        nodes=tuple(state.values()),
        running=(*(run for run in world.running if run.run_id not in going), *started),
        queue=(*(job for job in world.queue if job.job_id not in placed_ids), *again),
        preemptions=Preemptions(making_room=tuple(rooms[one] for one in sorted(rooms))),
    )


def potential(world: Snapshot) -> list[int]:
    """How many jobs of each priority wait, the highest first."""
    return [sum(job.priority == level for job in world.queue) for level in (3, 2, 1, 0)]


@given(crowded())
@settings(max_examples=150)
def test_each_preemption_lowers_a_potential_so_that_there_are_no_loops(world: Snapshot):
    world = replace(world, policies=policies(replace(ON, min_run=0, back_off=0, budget=10**6)))
    for _ in range(40):
        result = plan(world)
        after = carried_out(world, result)
        if not result.evictions and not result.placements:
            return
        if result.evictions:
            # With the next plan those get their places for whom others were stopped.
            served = {one.for_job_id for one in result.evictions}
            following = plan(after)
            assert served <= {one.job_id for one in following.placements}
            assert potential(carried_out(after, following)) < potential(world)
        world = after
    raise AssertionError("it does not come to rest")
