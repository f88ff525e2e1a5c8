"""What holds for every plan in which jobs keep what they wait for, and for what follows from it."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.scheduler.worlds import GIB, a_job, a_node, holds, with_job
from windlass_server.scheduler.plan import Place, Plan, plan
from windlass_server.scheduler.policies import Backfill, Policies, Policy
from windlass_server.scheduler.snapshot import Demand, NodeState, Running, Snapshot

pytestmark = pytest.mark.timeout(120)

MINUTE = 60_000_000
NOW = 1_800_000_000_000_000
GPUS = 4


class Site:
    """Nodes on which jobs run exactly as long as they may, and a queue that is planned for."""

    def __init__(self, nodes: int, depth: int) -> None:
        self.now = NOW
        self.depth = depth
        self.queue: dict[str, Demand] = {}
        self.nodes = {
            f"node-n{n}": named(a_node(f"n{n}", gpus=GPUS, cpu=8000)) for n in range(nodes)
        }
        self.running: dict[str, tuple[Demand, tuple[Place, ...], int | None]] = {}
        self.began: dict[str, int] = {}
        self.leaves: dict[str, int] = {}
        self.pace = MINUTE
        self.idle = False

    def submit(self, job: Demand) -> None:
        self.queue[job.job_id] = job

    def snapshot(self) -> Snapshot:
        return Snapshot(
            queue=tuple(self.queue.values()),
            nodes=tuple(map(self.state, self.nodes)),
            now=self.now,
            running=tuple(
                running(job, place, end, self.began[job.job_id])
                for job, places, end in self.running.values()
                for place in places
            ),
            policies=Policies(Policy(backfill=Backfill(self.depth))),
        )

    def state(self, node_id: str) -> NodeState:
        node = self.nodes[node_id]
        for job, places, _ in self.running.values():
            for place in places:
                if place.node_id == node_id:
                    assert holds(node, job), "it is given more than there is"
                    node = with_job(node, job, place.gpu_uuids)
        return node

    def step(self, takes: Mapping[str, int] | None = None) -> Plan:
        """Plan, start what is placed, and let time pass until something ends, or a minute.

        Args:
            takes: how long jobs without a limit run, which the plan does not know.
        """
        result = plan(self.snapshot())
        for one in result.placements:
            job = self.queue.pop(one.job_id)
            end = None if job.time_limit is None else self.now + job.time_limit
            if takes and one.job_id in takes:
                self.leaves[one.job_id] = self.now + takes[one.job_id]
            assert job.min_nodes <= len(one.places) <= job.nodes
            self.running[one.job_id] = job, one.places, end
            self.began[one.job_id] = self.now
        self.snapshot()
        self.idle = not result.placements
        ends = [end for *_, end in self.running.values() if end is not None]
        self.now = min([*ends, *self.leaves.values(), self.now + self.pace])
        for job_id, (*_, known) in list(self.running.items()):
            end = self.leaves.get(job_id, known)
            if end is not None and end <= self.now:
                del self.running[job_id]
                self.leaves.pop(job_id, None)
        return result


def named(node: NodeState) -> NodeState:
    """A node that can be one of several of a job."""
    return replace(node, address="10.0.0.1", place=("c", "", "", "r"))


def running(job: Demand, place: Place, end: int | None, began: int) -> Running:
    return Running(
        job_id=job.job_id, run_id=f"run-{job.job_id}", project="", user="", queue="", priority=0,
        node_id=place.node_id, cpu_millis=job.cpu_millis, memory_bytes=job.memory_bytes,
        gpu_uuids=place.gpu_uuids,
        gpu_type="H100", gpu_millis=0, started_at=began, likely_end=end, expected_end=end,
        limit_end=end, saved_at=NOW, preemptible=True, leaving=False,
    )  # fmt: skip


@st.composite
def jobs(draw: st.DrawFn, number: int, *, limits: bool = True) -> Demand:
    minutes = draw(st.integers(1, 20) if limits else st.none() | st.integers(1, 20))
    job = a_job(
        f"job-{number:02}",
        gpus=draw(st.sampled_from([0, 1, 1, 2, 4])),
        cpu=draw(st.sampled_from([0, 1000, 6000])),
        memory=GIB,
        priority=draw(st.sampled_from([0, 0, 1])),
    )
    count = draw(st.sampled_from([1, 1, 1, 2, 3]))
    return replace(
        job,
        time_limit=None if minutes is None else minutes * MINUTE,
        nodes=count,
        min_nodes=draw(st.integers(1, count)),
    )


def job_lists(most: int, *, limits: bool = True) -> st.SearchStrategy[list[Demand]]:
    return st.integers(1, most).flatmap(
        lambda count: st.tuples(*(jobs(n, limits=limits) for n in range(count)))
    ).map(list)  # fmt: skip


@given(job_lists(10), st.integers(1, 3), st.integers(1, 4))
@settings(max_examples=60)
def test_whoever_was_promised_a_start_starts_by_then(queue: list[Demand], nodes: int, depth: int):
    """Whatever comes behind it, when all run as long as they may at most."""
    site = Site(nodes, depth)
    for job in queue:
        site.submit(job)
    promised: dict[str, int] = {}
    while site.running or not promised.keys() <= site.began.keys() or not site.idle:
        result = site.step()
        for one in result.waiting:
            if one.start is not None:
                promised.setdefault(one.job_id, one.start.at)
    assert {job_id: site.began[job_id] <= at for job_id, at in promised.items()} == dict.fromkeys(
        promised, True
    )


@given(job_lists(8), job_lists(6, limits=False), st.integers(1, 2))
@settings(max_examples=60)
def test_nobody_behind_it_moves_the_start_of_the_first_that_waits(
    queue: list[Demand], behind: list[Demand], nodes: int
):
    site = Site(nodes, 1)
    for job in queue:
        site.submit(job)
    first = next((one for one in site.step().waiting if one.start is not None), None)
    if first is None:
        return
    low = [
        replace(job, job_id=f"low-{n}", order=f"z{n}", priority=-9) for n, job in enumerate(behind)
    ]
    for job in low:
        site.submit(job)
    while first.job_id in site.queue:
        for one in site.step().waiting:
            if one.job_id == first.job_id and one.start is not None:
                assert first.start is not None
                assert one.start.at <= first.start.at
    assert first.start is not None
    assert site.began[first.job_id] <= first.start.at


@given(st.integers(1, 15), st.integers(2, 15))
@settings(max_examples=30)
def test_a_stream_of_small_jobs_does_not_starve_a_big_one(minutes: int, every: int):
    site = Site(2, 10)
    for number in range(2 * GPUS):
        site.submit(small(number, minutes + number % 3))
    site.step()
    site.submit(replace(a_job("big", gpus=GPUS), order="job-050", time_limit=MINUTE))
    asked = site.now
    for number in range(100, 400):
        if number % every:
            site.submit(small(number, minutes))
        site.step()
        if "big" in site.began:
            break
    assert site.began["big"] - asked <= (minutes + 2) * MINUTE


@given(
    st.integers(1, 100),
    st.lists(st.integers(50, 100), min_size=1, max_size=5),
    st.sampled_from([1, 2]),
    st.sampled_from([10**8, 60 * MINUTE]),
)
@settings(max_examples=30)
def test_a_stream_of_jobs_without_limits_does_not_starve_one_that_needs_whole_nodes(
    first: int, takes: list[int], nodes: int, unit: int
):
    """However long they run, also for days: none of those that came behind it is waited for."""
    site = Site(2, 10)
    site.pace = 10 * unit
    lasts = dict[str, int]()

    def one_more(number: int, priority: int, units: int) -> None:
        job = replace(a_job(f"job-{number:03}", gpus=1, cpu=0), priority=priority)
        site.submit(job)
        lasts[job.job_id] = units * unit

    for number in range(2 * GPUS):
        one_more(number, 0, first + 10 * number)
    site.step(lasts)
    big = replace(a_job("big", gpus=GPUS, priority=1000), nodes=nodes, min_nodes=nodes)
    site.submit(big)
    asked = site.now
    for number in range(100, 400):
        one_more(number, -1000, takes[number % len(takes)])
        site.step(lasts)
        if "big" in site.began:
            break
    assert site.began["big"] - asked <= (first + 20 * GPUS + 10) * unit
    assert len(site.began) > 1


def test_without_depth_a_stream_of_small_jobs_starves_a_big_one():
    site = Site(1, 0)
    for number in range(GPUS):
        site.submit(small(number, number + 1))
    site.step()
    site.submit(replace(a_job("big", gpus=GPUS), order="job-050", time_limit=MINUTE))
    for number in range(100, 200):
        site.submit(small(number, GPUS))
        site.step()
    assert "big" not in site.began


def small(number: int, minutes: int) -> Demand:
    return replace(a_job(f"job-{number:03}", gpus=1, cpu=0), time_limit=minutes * MINUTE)


@given(job_lists(12, limits=False), st.integers(0, 5), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_the_order_of_the_input_changes_nothing(queue: list[Demand], depth: int, rng):
    site = Site(2, depth)
    for job in queue:
        site.submit(job)
    site.step()
    snapshot = site.snapshot()

    def shuffled(items: tuple) -> tuple:
        return tuple(rng.sample(items, len(items)))

    mixed = replace(
        snapshot,
        queue=shuffled(snapshot.queue),
        nodes=shuffled(snapshot.nodes),
        running=shuffled(snapshot.running),
    )
    assert plan(mixed) == plan(snapshot)


@given(job_lists(12, limits=False))
@settings(max_examples=60)
def test_without_depth_what_runs_makes_no_difference(queue: list[Demand]):
    site = Site(2, 0)
    for job in queue:
        site.submit(job)
    site.step()
    snapshot = site.snapshot()
    assert plan(snapshot) == plan(replace(snapshot, running=()))


@given(job_lists(12, limits=False), st.integers(1, 5))
@settings(max_examples=60)
def test_all_that_waits_though_it_has_room_would_delay_one_that_comes_before_it(
    queue: list[Demand], depth: int
):
    site = Site(2, depth)
    for job in queue:
        site.submit(job)
    site.step()
    after = {node_id: site.state(node_id) for node_id in site.nodes}
    result = plan(site.snapshot())
    asked: Mapping[str, Demand] = site.queue
    for one in result.placements:
        for place in one.places:
            node = after[place.node_id]
            after[place.node_id] = with_job(node, asked[one.job_id], place.gpu_uuids)
    waited = set[str]()
    for one in result.waiting:
        job = asked[one.job_id]
        roomy = [node_id for node_id, node in after.items() if holds(node, job)]
        roomy = roomy if len(roomy) >= job.min_nodes else []
        assert bool(roomy) == (one.reason == "WOULD_DELAY_EARLIER_JOB")
        if roomy:
            assert any(name in one.message for name in waited)
        waited.add(one.job_id)
