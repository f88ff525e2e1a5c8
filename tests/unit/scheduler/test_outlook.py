"""What the next cycle would do with one job, and what would let it start."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.scheduler.worlds import GIB, a_job, a_node, a_pool, snapshots
from windlass_server.scheduler.constraints import Constraint
from windlass_server.scheduler.order import in_turn
from windlass_server.scheduler.outlook import Outlook, Verdict, outlook
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.quota import Dimension, Quota
from windlass_server.scheduler.snapshot import Demand, Kept, Moment, NodeState, Pool, Snapshot

pytestmark = pytest.mark.timeout(60)

HOUR = 3_600_000_000


def outlook_of(
    job: Demand, *nodes: NodeState, others: tuple[Demand, ...] = (), pools: tuple[Pool, ...] = ()
) -> Outlook:
    return outlook(Snapshot((*others, job), nodes, pools), job.job_id)


def changes(found: Outlook) -> list[tuple[str, str, str]]:
    return [(each.field, each.asked, each.enough) for each in found.changes]


def test_a_job_that_fits_is_told_where_it_starts():
    found = outlook_of(a_job(gpus=2), a_node(gpus=4, held=1))
    assert found.verdict is Verdict.STARTS_NOW
    assert found.placement is not None
    assert (found.placement.node_id, found.placement.gpu_uuids) == ("node-n1", ("n1-1", "n1-2"))
    assert (found.reason, found.message, found.changes) == ("", "", ())


@pytest.mark.parametrize(
    ("job", "node", "expected"),
    [
        (a_job(gpus=8), a_node(gpus=8, held=3), [("resources.gpu_count", "8", "5")]),
        (a_job(gpus=1), a_node(gpus=8, held=8), []),
        (
            a_job(gpus=1, gpu_type="A100"),
            a_node(gpus=1),
            [("resources.gpu_type", "A100", "H100")],
        ),
        (
            a_job(memory=8 * GIB),
            a_node(memory_free=3 * GIB),
            [("resources.memory_bytes", "8 GiB", "3 GiB")],
        ),
        (a_job(cpu=4000), a_node(cpu_free=500), [("resources.cpu_millis", "4 cores", "0.5 cores")]),
        (
            a_job(share=800),
            a_node(gpus=1, sharers=4, shared=[(700, 2)]),
            [("resources.gpu_millis", "0.8 GPU", "0.3 GPU")],
        ),
        (a_job(isolation=3), a_node(isolation=1), [("min_isolation", "SANDBOX", "RLIMITS")]),
        (a_job(pools=("a",)), a_node(pool="b"), [("pool", "a", "")]),
        (a_job(cpu=4000, memory=8 * GIB), a_node(cpu_free=500, memory_free=GIB), []),
    ],
)
def test_the_smallest_change_of_each_field_that_would_do_is_named(
    job: Demand, node: NodeState, expected: list[tuple[str, str, str]]
):
    assert changes(outlook_of(job, node)) == expected


def test_a_higher_priority_is_named_where_only_the_queue_is_in_the_way():
    others = tuple(a_job(f"job-{number}", gpus=2, priority=number) for number in (3, 5, 9))
    found = outlook_of(a_job("job-x", gpus=2), a_node(gpus=4), others=others)
    assert found.reason == "BEHIND_HIGHER_PRIORITY"
    assert (found.jobs_ahead, changes(found)) == (3, [("priority", "0", "6")])


def test_a_shorter_limit_is_named_where_a_reservation_is_in_the_way():
    node = a_node(gpus=1)
    kept = Kept("res-1", "", frozenset(), 0, 0, 1, "H100", until=3 * HOUR)
    moment = Moment(
        node.node_id, 2 * HOUR, node.cpu_millis, node.memory_bytes, {"H100": 1}, (kept,)
    )
    world = Snapshot((a_job(gpus=1),), (node,), moments=(moment,), now=0)
    found = outlook(world, "job-1")
    assert changes(found) == [("time_limit", "", "2h, its grace period included")]


def test_nodes_are_counted_by_what_refuses_them():
    found = outlook_of(
        a_job(gpus=4, gpu_type="H100"),
        a_node("a", gpus=4, held=1),
        a_node("b", gpus=4, ready=False),
        a_node("c", gpus=2),
        a_node("d", gpus=4, gpu_type="L4"),
    )
    assert found.nodes == 4
    assert found.constraints == (
        Constraint("NODE_UNREACHABLE", None, 0, 1),  # type: ignore[arg-type]
        Constraint("GPU_TYPE_UNAVAILABLE", "gpu_type", 1, 1),  # type: ignore[arg-type]
        Constraint("INSUFFICIENT_GPUS", "gpu_count", 2, 3),  # type: ignore[arg-type]
    )


def test_what_can_never_run_is_told_from_what_cannot_run_now():
    assert outlook_of(a_job(gpus=8), a_node(gpus=8, held=1)).verdict is Verdict.WAITS
    assert outlook_of(a_job(gpus=9), a_node(gpus=8)).verdict is Verdict.NEVER
    big = a_pool(template=a_node(gpus=16))
    assert outlook_of(a_job(gpus=9), a_node(gpus=8), pools=(big,)).verdict is Verdict.WAITS


def test_a_job_that_is_not_in_the_queue_has_no_outlook():
    with pytest.raises(KeyError):
        outlook(Snapshot((), ()), "job-1")


@given(snapshots(), st.data())
def test_the_outlook_is_what_the_plan_does(world: Snapshot, data: st.DataObject):
    assume(world.queue)
    job = data.draw(st.sampled_from(world.queue))
    found, made = outlook(world, job.job_id), plan(world)
    placed = {each.job_id: each for each in made.placements}
    waiting = {each.job_id: each.reason for each in made.waiting}
    assert found.placement == placed.get(job.job_id)
    assert found.reason == waiting.get(job.job_id, "")


@given(snapshots(), st.data())
def test_each_change_lets_the_job_start(world: Snapshot, data: st.DataObject):
    assume(world.queue)
    job = data.draw(st.sampled_from(world.queue))
    queue = in_turn(world)
    ahead = queue[: queue.index(job)]
    for change in outlook(world, job.job_id).changes:
        with_it = replace(world, queue=(*ahead, change.changed))
        assert job.job_id in {each.job_id for each in plan(with_it).placements}


@pytest.mark.parametrize(
    ("gpus", "verdict"), [(2, Verdict.STARTS_NOW), (4, Verdict.WAITS), (5, Verdict.NEVER)]
)
def test_a_job_that_is_more_than_its_quota_allows_at_all_never_starts(gpus: int, verdict: Verdict):
    quota = Quota("q", "ml", limit={Dimension.GPU: 4000}, used={Dimension.GPU: 2000})
    job = replace(a_job(gpus=gpus), project="ml")
    found = outlook(Snapshot((job,), (a_node(gpus=8),), quotas=(quota,)), job.job_id)
    assert found.verdict is verdict
    assert (found.reason == "QUOTA") == (verdict is not Verdict.STARTS_NOW)
