"""What a project has borrowed goes back to whom it is guaranteed: jobs as a whole, also such as were borrowed in part."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.scheduler.crowds import MINUTE, ON, a_run, a_world, policies, stopped, without
from tests.unit.scheduler.test_gang_preemption import a_gang_run, gang, in_racks, of_job
from tests.unit.scheduler.worlds import a_job, holds, with_job
from windlass_server.scheduler.guarantees import Guarantees, borrowed, whole
from windlass_server.scheduler.plan import Plan, plan
from windlass_server.scheduler.preempting import MakingRoom, Preemptions
from windlass_server.scheduler.quota import Dimension, Quota, Use
from windlass_server.scheduler.snapshot import Demand, Running, Snapshot

pytestmark = pytest.mark.timeout(120)
GPU = Dimension.GPU


def quota(project: str, guaranteed: int, used: int) -> Quota:
    return Quota(
        f"q-{project}", project, cohort="all",
        guaranteed={GPU: guaranteed * 1000}, used={GPU: used * 1000},
    )  # fmt: skip


def held(runs: Iterable[Running], project: str) -> int:
    return sum(len(run.gpu_uuids) for run in runs if run.project == project)


def lending(world: Snapshot, **guaranteed: int) -> Snapshot:
    """The same world where projects are guaranteed so many GPUs, and have what runs."""
    quotas = tuple(
        quota(name, most, held(world.running, name)) for name, most in guaranteed.items()
    )
    return replace(world, quotas=quotas)


def run_of(job_id: str, node: str, gpus: int, ran: int, project: str = "low") -> Running:
    return a_run(job_id, node, gpus=range(gpus), ran=ran * MINUTE, project=project)


@pytest.mark.parametrize(
    ("_case", "runs", "guaranteed", "expected"),
    [
        ("a gang in part", [("wide", 2, 9), ("wide", 2, 9)], 3, {"wide": False}),
        ("a gang as a whole", [("wide", 2, 9), ("wide", 2, 9), ("old", 2, 10)], 2, {"wide": True}),
        ("not what is enough without it", [("wide", 2, 9), ("wide", 2, 9), ("old", 1, 99)], 4, {"old": True}),
        ("the rest in part", [("old", 3, 99), ("new", 2, 9)], 2, {"new": True, "old": False}),
        ("what leaves the project least short", [("old", 2, 99), ("new", 4, 9)], 5, {"old": False}),
        ("the younger of equals", [("old", 4, 99), ("new", 4, 9)], 6, {"new": False}),
        ("nothing", [("old", 4, 99), ("new", 4, 9)], 8, {}),
    ],
)  # fmt: skip
def test_what_is_borrowed_goes_before_what_is_so_only_in_part(
    _case: str, runs: Sequence[tuple[str, int, int]], guaranteed: int, expected: dict[str, bool]
) -> None:
    running = [run_of(job, f"n{number}", gpus, ran) for number, (job, gpus, ran) in enumerate(runs)]
    use = Use([quota("low", guaranteed, held(running, "low"))])
    found = borrowed(whole(running).values(), use)
    assert found == expected
    assert [*found] == [*expected]


def two_racks(*, low: int, priority: int = 100) -> Snapshot:
    """A gang of four nodes has all of them; `vip` counts on two, `low` on so many."""
    runs = a_gang_run("wide", "n00", "n01", "n02", "n03", priority=priority)
    return lending(a_world([gang(1)], in_racks(4), runs), vip=2, low=low)


def test_a_gang_that_borrowed_in_part_goes_as_a_whole_to_whom_it_is_guaranteed():
    result = plan(two_racks(low=3))
    assert len(result.evictions) == 4
    assert stopped(result) == {"wide"}
    assert stopped(plan(two_racks(low=4))) == set()
    # Not for what would be borrowed itself, whatever its priority.
    beyond = replace(two_racks(low=3, priority=0), queue=(gang(3),))
    for low, gone in [(3, set()), (0, {"wide"})]:
        assert stopped(plan(lending(beyond, vip=2, low=low, idle=9))) == gone


def test_who_should_go_first_shields_nobody_where_it_has_to_stay():
    """The younger gang is first, but its nodes are of no use."""
    runs = [
        *a_gang_run("old", "n00", "n01", priority=100, ran=60 * MINUTE),
        *a_gang_run("new", "n10", "n11", priority=100, ran=50 * MINUTE),
    ]
    nodes = [replace(node, pool=node.name[:2]) for node in in_racks(2, 2)]
    world = lending(a_world([gang(1, pools=("n0",))], nodes, runs), vip=2, low=3)
    assert stopped(plan(world)) == {"old"}
    # But not both of them.
    assert stopped(plan(replace(world, queue=(gang(1, pools=("n1",)),)))) == {"new"}
    assert stopped(plan(replace(world, queue=(gang(3),)))) == set()


def test_that_one_goes_whose_project_is_left_least_short():
    """Not the wider one, which has worked for less long."""
    runs = [
        *a_gang_run("narrow", "n00", "n01", priority=100, ran=60 * MINUTE),
        *a_gang_run("wide", "n02", "n03", "n04", "n05", priority=100, ran=10 * MINUTE),
    ]
    world = lending(a_world([gang(1)], in_racks(6), runs), vip=2, low=5)
    assert stopped(plan(world)) == {"narrow"}


def test_one_that_has_gone_lets_the_others_stay():
    sure = Guarantees([quota("low", 3, 5)], [run_of("a", "n1", 3, 9), run_of("b", "n2", 2, 10)], [])
    assert sure.is_borrowed("b", in_part=False)
    assert sure.may_go("a")
    assert not sure.all_may_go(["a", "b"])
    sure.stopped(["a"])
    assert not sure.is_borrowed("b", in_part=True)
    assert not sure.may_go("b")


def test_what_is_about_to_have_a_place_is_counted_once_it_is_so():
    """One job more than is guaranteed: the room that a whole gang leaves to the second is all that there is."""
    runs = [
        *a_gang_run("new", "n00", "n10", gpus=[0], priority=100, ran=50 * MINUTE),
        *a_gang_run("old", "n00", "n10", gpus=[1], priority=100, ran=60 * MINUTE),
    ]
    jobs = [gang(1, job_id=f"job-{number}", order=f"job-{number}") for number in range(3)]
    world = lending(a_world(jobs, in_racks(1, 1, gpus=2), runs), vip=2, low=0)
    result = plan(world)
    assert {one.job_id for one in result.evictions} == {"new"}
    # Nor is more taken back while those leave.
    going = [replace(run, leaving=run.job_id == "new") for run in runs]
    for_first = MakingRoom("job-0", ("node-n00",), 1, 1)
    later = replace(world, running=tuple(going), preemptions=Preemptions((for_first,)))
    assert plan(later).evictions == ()


# --- worlds in which projects lend to each other ---------------------------------------------------

PROJECTS = "abc"


@st.composite
def lenders(draw: st.DrawFn) -> Snapshot:
    """Jobs of some nodes run and others wait, all of one priority or of two, on nodes of two GPUs."""
    nodes = in_racks(draw(st.integers(1, 3)), draw(st.integers(1, 2)), gpus=2)
    free = {node.name: [0, 1] for node in nodes}
    runs = list[Running]()
    for number in range(draw(st.integers(1, 5))):
        gpus = draw(st.sampled_from([1, 2]))
        able = [name for name in sorted(free) if len(free[name]) >= gpus]
        width = min(draw(st.integers(1, 4)), len(able))
        project, ran = draw(st.sampled_from(PROJECTS)), draw(st.integers(1, 4)) * MINUTE
        priority = draw(st.sampled_from([0, 0, 1]))
        for name in able[:width]:
            taken, free[name] = free[name][:gpus], free[name][gpus:]
            runs.append(
                a_run(
                    f"run-{number}", name, gpus=taken, cpu=0, memory=0, project=project, ran=ran,
                    priority=priority,
                )
            )  # fmt: skip
    jobs = [
        gang(
            draw(st.integers(1, 3)),
            gpus=draw(st.sampled_from([1, 2])),
            job_id=f"job-{number}", order=f"job-{number}", priority=draw(st.sampled_from([0, 0, 1])),
            cpu_millis=0, memory_bytes=0,
        )
        for number in range(draw(st.integers(1, 4)))
    ]  # fmt: skip
    jobs = [replace(job, project=draw(st.sampled_from(PROJECTS))) for job in jobs]
    rules = replace(ON, min_run=0, back_off=0, budget=10**6)
    world = replace(a_world(jobs, nodes, runs), policies=policies(rules))
    return lending(world, **{name: draw(st.integers(0, 4)) for name in PROJECTS})


def carried_out(world: Snapshot, result: Plan) -> Snapshot:
    """The world when all have left who were stopped, which wait again, and all have begun that were placed."""
    going = {one.run_id for one in result.evictions}
    jobs = {job.job_id: job for job in world.queue}
    state = without(world.nodes, [run for run in world.running if run.run_id in going])
    running = [run for run in world.running if run.run_id not in going]
    for one in result.placements:
        job = jobs.pop(one.job_id)
        for place in one.places:
            node = state[place.node_id]
            state[place.node_id] = with_job(node, job, place.gpu_uuids)
            run = a_run(
                job.job_id, node.name, cpu=0, memory=0, priority=job.priority, project=job.project
            )
            running.append(replace(run, gpu_uuids=place.gpu_uuids, gpu_type="H100"))
    for job_id in sorted({one.job_id for one in result.evictions}):
        runs = of_job(world, job_id)
        job = a_job(job_id, gpus=len(runs[0].gpu_uuids), cpu=0, memory=0, priority=runs[0].priority)
        width = len(runs)
        jobs[job_id] = replace(job, project=runs[0].project, nodes=width, min_nodes=width)
    rooms = {
        one.for_job_id: MakingRoom(one.for_job_id, one.places or (one.node_id,), 0, 1)
        for one in result.evictions
    }
    after = replace(
        world,
        nodes=tuple(state.values()),
        running=tuple(running),
        queue=tuple(jobs.values()),
        preemptions=Preemptions(making_room=tuple(rooms[one] for one in sorted(rooms))),
    )
    return lending(after, **{one.project: one.guaranteed[GPU] // 1000 for one in world.quotas})


@given(lenders())
@settings(max_examples=200)
def test_what_is_taken_back_comes_to_rest(world: Snapshot):
    for _ in range(60):
        result = plan(world)
        if not result.evictions and not result.placements:
            return
        following = plan(after := carried_out(world, result))
        # With the next plan those get their places for whom others were stopped.
        served = {one.for_job_id for one in result.evictions}
        assert served <= {one.job_id for one in following.placements}
        world = after
    raise AssertionError("it does not come to rest")


def beyond(world: Snapshot, project: str) -> int:
    """How many GPUs a project has beyond what it can count on."""
    (most,) = (one.guaranteed[GPU] // 1000 for one in world.quotas if one.project == project)
    return held(world.running, project) - most


@given(lenders())
@settings(max_examples=200)
def test_nobody_goes_without_need_and_who_is_enough_alone_goes(world: Snapshot):
    waiting = {one.job_id for one in plan(world).waiting}
    for job in (each for each in world.queue if each.job_id in waiting):
        alone = replace(world, queue=(job,))
        result = plan(alone)
        if result.placements:
            continue
        gone = stopped(result, job.job_id)
        sizes = {
            job_id: held(of_job(world, job_id), of_job(world, job_id)[0].project) for job_id in gone
        }
        within = beyond(world, job.project) + job.min_nodes * job.gpu_count <= 0
        for project in {*PROJECTS} - {job.project}:
            taken = [sizes[one] for one in gone if of_job(world, one)[0].project == project]
            spare = beyond(world, project)
            # All but the last leave the project more than it can count on; and for one that borrows all do.
            assert not taken or sum(taken) - (max(taken) if within else 1) < spare
        assert all(run.run_id in {one.run_id for one in result.evictions} for one in gone for run in of_job(world, one))  # fmt: skip
        if within and not gone:
            assert not any(enough_without(world, one, job) for one in candidates(world, job))


def candidates(world: Snapshot, job: Demand) -> list[str]:
    """Who may go for a job that is sure of its place: not above it, of a project that has too much."""
    return sorted(
        {
            run.job_id
            for run in world.running
            if run.project != job.project
            and run.priority <= job.priority
            and beyond(world, run.project) > 0
        }
    )


def enough_without(world: Snapshot, job_id: str, job: Demand) -> bool:
    """Whether a job has room when one other has gone."""
    state = without(world.nodes, of_job(world, job_id))
    return sum(holds(node, job) for node in state.values()) >= job.min_nodes
