"""What holds for every plan, whatever the world looks like."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.scheduler.worlds import (
    could_hold,
    demands,
    emptied,
    holds,
    nodes,
    shares,
    snapshots,
    with_job,
)
from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.filters import first_refusal, fits
from windlass_server.scheduler.plan import Plan, plan
from windlass_server.scheduler.policies import Policies, Policy
from windlass_server.scheduler.rooms import free_room, full_room, in_columns
from windlass_server.scheduler.snapshot import Demand, NodeState, Snapshot

pytestmark = pytest.mark.timeout(60)

NEVER = {
    "GPU_SHARING_UNAVAILABLE", "GPU_TYPE_UNAVAILABLE", "ISOLATION_UNAVAILABLE", "POOL_UNAVAILABLE",
}  # fmt: skip
SHORT = {
    "INSUFFICIENT_GPUS", "INSUFFICIENT_GPU_SHARE", "INSUFFICIENT_MEMORY", "INSUFFICIENT_CPU",
}  # fmt: skip
BEHIND = {"BEHIND_HIGHER_PRIORITY", "WAITING_BEHIND_EARLIER_JOBS"}


def turn(job: Demand) -> tuple[int, str]:
    return -job.priority, job.order


def shape(job: Demand) -> Demand:
    return replace(job, job_id="", order="", priority=0)


def replayed(world: Snapshot, result: Plan) -> dict[str, NodeState]:
    """The nodes after the plan; each step asserts that the job really had room."""
    jobs = {job.job_id: job for job in world.queue}
    state = {node.node_id: node for node in world.nodes}
    for placement in result.placements:
        job, node = jobs[placement.job_id], state[placement.node_id]
        usable = {
            gpu.uuid: gpu
            for gpu in node.gpus
            if (shares(node, gpu, job) if job.gpu_millis else gpu.healthy and not gpu.held)
        }
        assert holds(node, job)
        assert len(set(placement.gpu_uuids)) == len(placement.gpu_uuids) == job.gpu_count
        assert set(placement.gpu_uuids) <= set(usable)
        types = {usable[uuid].gpu_type.lower() for uuid in placement.gpu_uuids}
        assert len(types) <= 1
        assert not job.gpu_type or types <= {job.gpu_type.lower()}
        state[node.node_id] = with_job(node, job, placement.gpu_uuids)
    return state


@given(snapshots())
def test_no_node_is_overcommitted_and_no_gpu_is_given_that_is_held_or_unhealthy(world: Snapshot):
    replayed(world, plan(world))


@given(snapshots())
def test_every_job_is_placed_or_explained_once(world: Snapshot):
    result = plan(world)
    answered = [each.job_id for each in (*result.placements, *result.waiting)]
    assert sorted(answered) == sorted(job.job_id for job in world.queue)
    assert all(each.reason and each.message for each in result.waiting)


@given(snapshots())
def test_nothing_that_still_fits_is_left_waiting(world: Snapshot):
    result = plan(world)
    state = replayed(world, result)
    jobs = {job.job_id: job for job in world.queue}
    for each in result.waiting:
        assert not any(holds(node, jobs[each.job_id]) for node in state.values())


@given(snapshots())
def test_shares_gather_on_the_fullest_card_that_has_room_for_them(world: Snapshot):
    world = replace(world, policies=Policies(Policy(packing="tight")))
    jobs = {job.job_id: job for job in world.queue}
    state = {node.node_id: node for node in world.nodes}
    for placement in plan(world).placements:
        job, node = jobs[placement.job_id], state[placement.node_id]
        faulty = {fault.node_id for fault in job.faults}
        if job.gpu_millis:
            taken = {
                (other.node_id, gpu.uuid): gpu.shared_millis
                for other in state.values()
                if holds(other, job) and (other.node_id in faulty) == (node.node_id in faulty)
                for gpu in other.gpus
                if shares(other, gpu, job)
            }
            assert taken[node.node_id, placement.gpu_uuids[0]] == max(taken.values())
        state[node.node_id] = with_job(node, job, placement.gpu_uuids)


@given(snapshots())
def test_a_node_that_failed_a_job_gets_it_again_only_when_it_is_over_and_no_other_fits(
    world: Snapshot,
):
    jobs = {job.job_id: job for job in world.queue}
    state = {node.node_id: node for node in world.nodes}
    for placement in plan(world).placements:
        job = jobs[placement.job_id]
        faults = {fault.node_id: fault.paused_until for fault in job.faults}
        if placement.node_id in faults:
            assert faults[placement.node_id] is None
            assert not any(holds(state[other], job) for other in state.keys() - faults.keys())
        state[placement.node_id] = with_job(state[placement.node_id], job, placement.gpu_uuids)


@given(snapshots(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(world: Snapshot, rng):
    def shuffled(items):
        return tuple(rng.sample(items, len(items)))

    mixed = Snapshot(
        shuffled(world.queue),
        tuple(replace(node, gpus=shuffled(node.gpus)) for node in shuffled(world.nodes)),
        shuffled(world.pools),
        policies=world.policies,
    )
    assert plan(mixed) == plan(world)


@given(snapshots())
def test_of_equal_demands_the_one_whose_turn_is_first_is_placed_first(world: Snapshot):
    result = plan(world)
    jobs = {job.job_id: job for job in world.queue}
    for each in result.waiting:
        late = jobs[each.job_id]
        for placement in result.placements:
            early = jobs[placement.job_id]
            assert shape(early) != shape(late) or turn(early) < turn(late)


@given(snapshots())
def test_a_reason_is_true(world: Snapshot):
    result = plan(world)
    jobs = {job.job_id: job for job in world.queue}
    for each in result.waiting:
        job = jobs[each.job_id]
        able = [node for node in world.nodes if could_hold(node, job)]
        forgiven = replace(job, faults=())
        now = [node for node in world.nodes if holds(node, job)]
        assert (each.reason == "NO_NODES") == (not world.nodes)
        assert (each.reason in BEHIND) == bool(now)
        if each.reason == "NODE_AVOIDED":
            assert any(holds(node, forgiven) for node in world.nodes)
        assert (each.reason == "NODES_UNREACHABLE") == (
            bool(able) and not any(node.ready for node in able)
        )
        assert (each.reason == "NODES_CORDONED") == (
            any(node.ready for node in able)
            and not any(node.ready and node.takes_work for node in able)
        )
        assert ("fit it when empty" in each.message or "fits it when empty" in each.message) == (
            each.reason in SHORT and bool(able)
        )
        if each.reason in NEVER or "no registered node could hold it" in each.message:
            assert not able
        if "when empty" in each.message:
            assert f"; {len(able)} node" in each.message


@given(snapshots())
def test_a_job_waits_behind_higher_priority_only_when_a_higher_one_took_its_room(world: Snapshot):
    result = plan(world)
    jobs = {job.job_id: job for job in world.queue}
    for each in result.waiting:
        job = jobs[each.job_id]
        fitting = {node.node_id for node in world.nodes if holds(node, job)}
        took = [jobs[p.job_id] for p in result.placements if p.node_id in fitting]
        if each.reason == "BEHIND_HIGHER_PRIORITY":
            assert any(other.priority > job.priority for other in took)
        if each.reason == "WAITING_BEHIND_EARLIER_JOBS":
            assert any(turn(other) < turn(job) for other in took)
            assert not any(other.priority > job.priority for other in took)


@given(demands(), st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True), st.data())
def test_what_could_ever_fit_is_what_an_empty_cluster_places(job: Demand, names, data):
    cluster = tuple(data.draw(nodes(f"n{name}")) for name in names)
    forgiven = replace(job, faults=())
    empty = Snapshot((forgiven,), tuple(emptied(node) for node in cluster))
    assert (could_ever_fit(job, cluster, ()) is None) == bool(plan(empty).placements)


@given(demands(), nodes())
def test_one_node_and_all_nodes_get_the_same_answer_from_the_filters(job: Demand, node: NodeState):
    for room, expected in (
        (free_room(node), holds(node, job)),
        (full_room(node), could_hold(node, job)),
    ):
        assert (first_refusal(job, room) is None) == expected
        assert bool(fits(job, in_columns([room]))[0]) == expected


@given(demands(), st.integers(0, 8), st.data())
def test_one_more_node_never_lowers_how_many_equal_jobs_are_placed(job: Demand, count: int, data):
    queue = tuple(
        replace(job, job_id=f"job-{index}", order=f"job-{index}") for index in range(count)
    )
    cluster = tuple(data.draw(nodes(f"n{index}")) for index in range(3))
    few, more = plan(Snapshot(queue, cluster[:2])), plan(Snapshot(queue, cluster))
    assert len(more.placements) >= len(few.placements)


@given(snapshots(), nodes("n9"))
@settings(max_examples=50)
def test_one_more_node_never_displaces_the_job_whose_turn_is_first(world: Snapshot, extra):
    first = min(world.queue, key=turn, default=None)
    placed = {each.job_id for each in plan(world).placements}
    more = plan(replace(world, nodes=(*world.nodes, extra)))
    assert first is None or first.job_id not in placed or more.placements[0].job_id == first.job_id
