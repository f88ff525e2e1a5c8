"""Jobs that keep away from each other."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scheduler.test_backfill import busy, runs
from tests.unit.scheduler.test_preemption import a_run, a_world, high
from tests.unit.scheduler.worlds import a_job, a_node
from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.outlook import Verdict, outlook
from windlass_server.scheduler.plan import Plan, plan
from windlass_server.scheduler.snapshot import Demand, NodeState, Snapshot, Spread, Topology
from windlass_server.scheduler.topology import Level

pytestmark = pytest.mark.timeout(60)


def apart(
    job_id: str = "job-1", *, over: str = "", most: int = 0, group: str = "g", **job
) -> Demand:
    return replace(a_job(job_id, **job), apart=Spread(over, group, most))


def in_racks(**racks: str) -> list[NodeState]:
    """Nodes, by the racks that they say they are in; empty: in none."""
    return [
        replace(
            a_node(name), labels=(("rack", rack),) if rack else (), address="x",
            place=("c", "", "b", rack),
        )
        for name, rack in racks.items()
    ]  # fmt: skip


FOUR = in_racks(a="r1", b="r1", c="r2", d="r2")


def there(*names: str) -> Mapping[str, Mapping[str, int]]:
    """One of the group on each of these nodes."""
    return {"g": Counter(f"node-{name}" for name in names)}


def placed(result: Plan) -> dict[str, str]:
    return {
        one.job_id: "".join(place.node_id.removeprefix("node-") for place in one.places)
        for one in result.placements
    }


@pytest.mark.parametrize(
    ("over", "most", "running", "expected"),
    [
        ("", 0, "", "a"),
        ("", 0, "a", "b"),
        ("", 0, "aabbccd", "d"),
        ("rack", 0, "a", "c"),
        ("rack", 0, "aac", "c"),
        ("rack", 0, "aacc", "a"),
        ("", 1, "ab", "c"),
        ("", 2, "ab", "a"),
        ("rack", 1, "a", "c"),
        ("rack", 2, "a", "a"),
        ("rack", 1, "ac", None),
        ("", 1, "abcd", None),
        ("zone", 1, "ab", "c"),  # each is one alone
    ],
)
def test_a_job_goes_where_few_of_its_like_are(over, most, running, expected):
    result = plan(Snapshot((apart(over=over, most=most),), tuple(FOUR), groups=there(*running)))
    assert placed(result).get("job-1") == expected


def test_those_of_one_plan_count_too_and_others_do_not():
    queue = [apart(f"job-{number}", over="rack", most=1) for number in range(3)]
    queue += [a_job("job-3"), apart("job-4", over="rack", most=1, group="h")]
    result = plan(Snapshot(tuple(queue), tuple(FOUR)))
    assert [placed(result)[f"job-{number}"] for number in (0, 1)] == ["a", "c"]
    assert [(one.job_id, one.reason) for one in result.waiting] == [("job-2", "SPREAD_UNAVAILABLE")]


def test_why_it_waits_and_what_would_let_it_start_is_said():
    world = Snapshot((apart(over="rack", most=1),), tuple(FOUR), groups=there("a", "c", "d"))
    (waiting,) = plan(world).waiting
    assert waiting.message == (
        "needs a rack with fewer than 1 of those that it is spread with; "
        "each node that is open to it is in one with as many; 4 nodes fit it when empty"
    )
    (change, *_) = outlook(world, "job-1").changes
    assert (change.field, change.asked, change.enough) == ("spread.max_per_domain", "1", "2")


def test_a_limit_is_counted_among_what_keeps_it_out_and_comes_before_a_lack():
    world = Snapshot((apart(over="rack", most=1),), tuple(FOUR), groups=there("a"))
    found = outlook(world, "job-1")
    assert found.verdict is Verdict.STARTS_NOW
    limits = [one for one in found.constraints if one.refusal == "SPREAD_UNAVAILABLE"]
    assert [(one.dimension, one.empty, one.now) for one in limits] == [("spread", 0, 2)]
    # Where all that is left is full as well, the limit is what it waits for: others will end, and it stays.
    held = [replace(node, gpus=a_node(gpus=1, held=1).gpus) for node in FOUR]
    job = apart(over="rack", most=1, gpus=1)
    full = outlook(Snapshot((job,), tuple(held), groups=there("a", "c", "d")), "job-1")
    assert full.reason == "SPREAD_UNAVAILABLE"
    assert full.constraints[0].refusal == "SPREAD_UNAVAILABLE"


def test_where_it_may_not_be_it_waits_for_nothing_and_stops_nobody():
    nodes = in_racks(a="r1", b="r2")
    low = [a_run("low", "a", cpu=32_000), a_run("low2", "b", cpu=32_000)]
    job = replace(high(0), apart=Spread("rack", "g", 1))
    world = replace(a_world([job], nodes, low), groups=there("a"))
    assert {one.job_id for one in plan(world).evictions} == {"low2"}
    assert not plan(replace(world, groups=there("a", "b"))).evictions
    # Nor is a start promised to it there.
    running = [
        runs(node, until=minutes, cpu=32_000) for node, minutes in zip(nodes, (10, 60), strict=True)
    ]
    busy_nodes = tuple(busy(node, running) for node in nodes)
    waits = replace(
        world,
        nodes=busy_nodes,
        running=tuple(running),
        now=1_800_000_000_000_000,
        policies=Snapshot((), ()).policies,
    )
    (waiting,) = plan(waits).waiting
    assert waiting.start is not None
    assert waiting.start.node_id == "node-b"


def several(
    count: int, least: int = 0, *, over: str = "rack", most: int = 0, group: str = "", **job
) -> Demand:
    return replace(
        apart(over=over, most=most, group=group, **job), nodes=count, min_nodes=least or count
    )


@pytest.mark.parametrize(
    ("job", "racks", "running", "expected"),
    [
        (several(2), "112", "", "ac"),
        (several(4), "11112222", "", "abef"),
        (several(3, most=1), "1122", "", None),
        (several(2, most=1), "1122", "", "ac"),
        (several(4, most=2), "111122", "", "abef"),
        (several(4, 2, most=1), "111122", "", "ae"),
        (several(2, most=2, group="g"), "1122", "ab", "cd"),
        (several(2, group="g"), "1122", "ab", "cd"),
        (several(2, over="", group="g", most=1), "111", "b", "ac"),
    ],
)
def test_the_nodes_of_a_job_are_spread_too(job, racks, running, expected):
    nodes = in_racks(**{name: f"r{rack}" for name, rack in zip("abcdefgh", racks, strict=False)})
    result = plan(Snapshot((job,), tuple(nodes), groups=there(*running)))
    assert placed(result).get("job-1") == expected


def test_what_no_domains_could_ever_hold_is_refused():
    lack = could_ever_fit(several(3, most=1), FOUR, ())
    assert lack is not None
    assert (lack.dimension, lack.message.rpartition("; ")[2]) == (
        "nodes",
        "at most 2 could hold that",
    )
    assert could_ever_fit(several(2, most=1), FOUR, ()) is None
    near = replace(several(2, most=1), topology=Topology(required=Level.RACK))
    lack = could_ever_fit(near, FOUR, ())
    assert lack is not None
    assert lack.dimension == "topology"


@st.composite
def worlds(draw: st.DrawFn) -> Snapshot:
    racks = draw(st.lists(st.sampled_from("123"), min_size=1, max_size=6))
    nodes = in_racks(**{name: f"r{rack}" for name, rack in zip("abcdef", racks, strict=False)})
    running = draw(st.lists(st.sampled_from("abcdef"[: len(racks)]), max_size=4))
    queue = []
    for number in range(draw(st.integers(1, 4))):
        count = draw(st.sampled_from([1, 1, 2, 3]))
        job = apart(
            f"job-{number}",
            over=draw(st.sampled_from(["", "rack"])),
            most=draw(st.sampled_from([0, 1, 2])),
            cpu=draw(st.sampled_from([1000, 20_000])),
        )
        queue.append(replace(job, nodes=count, min_nodes=draw(st.integers(1, count))))
    return Snapshot(tuple(queue), tuple(nodes), groups=there(*running))


class State:
    """What a plan has left, written as plainly as it can be."""

    def __init__(self, world: Snapshot) -> None:
        self.on = Counter(world.groups["g"])
        self.free = {node.node_id: 32_000 for node in world.nodes}
        self._racks = {node.node_id: node.place[3] for node in world.nodes}

    def domain(self, node_id: str, job: Demand) -> str:
        return self._racks[node_id] if job.apart and job.apart.node_label else node_id

    def had(self, job: Demand) -> Counter[str]:
        """How many of the group are in each domain."""
        found = Counter[str]()
        for node_id, count in self.on.items():
            found[self.domain(node_id, job)] += count
        return found

    def could(self, job: Demand) -> int:
        """How many nodes a job could have."""
        most, had = job.apart.most if job.apart else 0, self.had(job)
        roomy = [each for each, left in self.free.items() if left >= job.cpu_millis]
        able = Counter(self.domain(each, job) for each in roomy)
        if not most:
            return sum(able.values())
        return sum(min(count, max(most - had[each], 0)) for each, count in able.items())


@given(worlds())
def test_no_limit_is_exceeded_and_nobody_waits_who_has_room_within_it(world: Snapshot):
    jobs, state = {job.job_id: job for job in world.queue}, State(world)
    result = plan(world)
    for one in result.placements:
        job = jobs[one.job_id]
        assert len(one.places) == min(state.could(job), job.nodes)
        for place in one.places:
            state.free[place.node_id] -= job.cpu_millis
            state.on[place.node_id] += 1
        assert min(state.free.values()) >= 0
        if job.apart and job.apart.most:
            had = state.had(job)
            there = {state.domain(place.node_id, job) for place in one.places}
            assert max(had[each] for each in there) <= job.apart.most
    for waiting in result.waiting:
        assert state.could(jobs[waiting.job_id]) < jobs[waiting.job_id].min_nodes
