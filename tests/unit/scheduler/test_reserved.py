"""Reservations keep parts of nodes for some, now and from a time to come on."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scheduler.worlds import GIB, a_job, a_node
from windlass_server.scheduler import wording
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.snapshot import Demand, Gpu, Kept, Moment, NodeState, Snapshot

MINUTE = 60_000_000
NOW = 1_800_000_000_000_000


def kept(
    name: str = "r1",
    *,
    project: str = "vision",
    users: frozenset[str] = frozenset(),
    gpus: int = 0,
    gpu_type: str = "H100",
    cpu: int = 0,
    memory: int = 0,
    until: int = NOW + 60 * MINUTE,
) -> Kept:
    return Kept(name, project, users, cpu, memory, gpus, gpu_type, until)


def moment(
    node: NodeState,
    *parts: Kept,
    after: int = 0,
    cpu: int | None = None,
    memory: int | None = None,
    gpus: Mapping[str, int] | None = None,
) -> Moment:
    """A time, so many minutes from now, at which by default all of a node is not held."""
    every = dict.fromkeys({gpu.gpu_type for gpu in node.gpus}, 0)
    for gpu in node.gpus:
        every[gpu.gpu_type] += 1
    return Moment(
        node.node_id,
        NOW + after * MINUTE,
        node.cpu_millis if cpu is None else cpu,
        node.memory_bytes if memory is None else memory,
        every if gpus is None else gpus,
        parts,
    )


def whole(node: NodeState, name: str = "r1", **more: object) -> Kept:
    fields = {"gpus": len(node.gpus), "cpu": node.cpu_millis, "memory": node.memory_bytes}
    return kept(name, **(fields | more))  # type: ignore[arg-type]


def job(name: str = "job-1", *, minutes: int | None = None, **more: object) -> Demand:
    project, user = more.pop("project", "other"), more.pop("user", "bob")
    demand = a_job(name, **more)  # type: ignore[arg-type]
    limit = None if minutes is None else minutes * MINUTE
    return replace(demand, project=project, user=user, time_limit=limit)  # type: ignore[arg-type]


def outcome(jobs: list[Demand], nodes: list[NodeState], moments: list[Moment]) -> dict[str, str]:
    """Where each job goes, or why it waits."""
    result = plan(Snapshot(tuple(jobs), tuple(nodes), (), tuple(moments), NOW))
    return {one.job_id: one.node_id for one in result.placements} | {
        one.job_id: one.reason for one in result.waiting
    }


def why(demand: Demand, nodes: list[NodeState], moments: list[Moment]) -> str:
    result = plan(Snapshot((demand,), tuple(nodes), (), tuple(moments), NOW))
    return result.waiting[0].message


N1 = a_node("n1", gpus=8)
N2 = a_node("n2", gpus=8)


@pytest.mark.parametrize(
    ("part", "demand", "placed"),
    [
        (whole(N1), job(gpus=1), False),
        (whole(N1), job(), False),
        (whole(N1), job(gpus=1, project="vision"), True),
        (whole(N1, users=frozenset({"ada"})), job(project="vision", user="ada"), True),
        (whole(N1, users=frozenset({"ada"})), job(project="vision", user="bob"), False),
        (whole(N1, project=""), job(project="", user=""), False),  # maintenance
        (kept(gpus=6), job(gpus=2), True),
        (kept(gpus=6), job(gpus=3), False),
        (kept(gpus=6), job(gpus=3, project="vision"), True),
        (kept(gpus=6, gpu_type="h100"), job(gpus=3, gpu_type="H100"), False),
        (kept(gpus=8), job(cpu=32_000), True),
        (kept(cpu=31_000), job(cpu=2000), False),
        (kept(memory=255 * GIB), job(memory=2 * GIB), False),
    ],
)
def test_a_part_is_kept_for_those_that_it_is_for(part: Kept, demand: Demand, placed: bool):
    expected = {"job-1": "node-n1" if placed else "RESERVED"}
    assert outcome([demand], [N1], [moment(N1, part)]) == expected


@pytest.mark.parametrize(
    ("minutes", "placed"), [(29, True), (30, True), (31, False), (None, False)]
)
def test_nothing_begins_that_could_run_into_a_reservation(minutes: int | None, placed: bool):
    times = [moment(N1), moment(N1, whole(N1), after=30)]
    expected = {"job-1": "node-n1" if placed else "RESERVED"}
    assert outcome([job(minutes=minutes)], [N1], times) == expected


def test_another_node_takes_what_one_keeps():
    assert outcome([job(gpus=8)], [N1, N2], [moment(N1, whole(N1))]) == {"job-1": "node-n2"}


def test_what_runs_past_the_beginning_takes_from_what_is_not_kept():
    # Four GPUs are held now by work that is over by then, two by work that is not.
    node = a_node("n1", gpus=8, held=2)
    later = moment(node, kept(gpus=4), after=30, gpus={"H100": 6})
    assert outcome([job(gpus=3)], [node], [later]) == {"job-1": "RESERVED"}
    assert outcome([job(gpus=2)], [node], [later]) == {"job-1": "node-n1"}
    assert outcome([job(gpus=6, minutes=10)], [node], [later]) == {"job-1": "node-n1"}


def test_jobs_of_one_plan_share_what_is_not_kept():
    jobs = [job(f"job-{number}", gpus=1) for number in range(4)]
    placed = outcome(jobs, [N1], [moment(N1, kept(gpus=6))])
    assert list(placed.values()) == ["node-n1"] * 2 + ["WAITING_BEHIND_EARLIER_JOBS"] * 2


def test_those_whom_it_is_for_use_what_is_kept_first_and_leave_the_rest_to_others():
    jobs = [job("a", gpus=6, project="vision"), job("b", gpus=2), job("c", gpus=1)]
    placed = outcome(jobs, [N1], [moment(N1, kept(gpus=6))])
    assert placed["a"] == placed["b"] == "node-n1"
    assert placed["c"] == "WAITING_BEHIND_EARLIER_JOBS"


def test_reservations_of_the_same_time_add_up():
    time = moment(N1, kept("r1", gpus=3), kept("r2", project="speech", gpus=3))
    assert outcome([job(gpus=3)], [N1], [time]) == {"job-1": "RESERVED"}
    assert outcome([job(gpus=5, project="speech")], [N1], [time]) == {"job-1": "node-n1"}
    assert outcome([job(gpus=6, project="speech")], [N1], [time]) == {"job-1": "RESERVED"}


def test_a_job_of_any_type_gets_gpus_of_a_type_that_is_not_kept():
    mixed = a_node("n1", gpus=[*a_node("a", gpus=2).gpus, *a_node("b", gpus=4, gpu_type="L4").gpus])
    # The H100 are fewer, and would be taken first.
    free = plan(Snapshot((job(gpus=2),), (mixed,)))
    assert free.placements[0].gpu_uuids == ("a-0", "a-1")
    time = moment(mixed, kept(gpus=1))
    result = plan(Snapshot((job(gpus=2),), (mixed,), (), (time,), NOW))
    assert result.placements[0].gpu_uuids == ("b-0", "b-1")


def test_why_it_waits_names_the_reservation_and_what_would_help():
    now = why(job(gpus=8), [N1], [moment(N1, whole(N1))])
    assert now == "has room on node n1, but reservation r1 keeps it until 2027-01-15T09:00:00Z"
    times = [moment(N1, whole(N1), after=30), moment(N2, whole(N2, "r2"), after=45)]
    assert why(job(minutes=60), [N1, N2], times) == (
        "has room on node n2, but could run into reservation r2, which begins at "
        "2027-01-15T08:45:00Z; with a time_limit of at most 45m, its grace period included, it "
        "would start now"
    )
    unlimited = why(
        job(minutes=None), [N1, N2], [*times[:1], moment(N2, whole(N2, "r2"), after=200)]
    )
    assert (
        "; without a time_limit it may run for ever, with a time_limit of at most 3h," in unlimited
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (45, "40s"),
        (125, "2m"),
        (599, "9m"),
        (659, "10m"),
        (7199, "115m"),
        (7200, "2h"),
        (11_000, "3h"),
        (200_000, "2d"),
    ],
)
def test_a_span_is_told_short_and_never_too_long(seconds: int, text: str):
    assert wording.span_text(seconds * 1_000_000) == text


def test_moments_of_nodes_that_are_not_there_do_not_matter():
    assert outcome([job()], [N1], [moment(N2, whole(N2))]) == {"job-1": "node-n1"}


amounts = st.integers(0, 8)


@given(
    st.lists(st.tuples(amounts, st.sampled_from(["vision", "speech", "other"])), max_size=8),
    st.lists(st.tuples(amounts, st.sampled_from(["vision", "speech", ""])), max_size=3),
)
def test_no_plan_gives_away_what_is_kept(asked, reserved):
    parts = [kept(f"r{at}", project=who, gpus=count) for at, (count, who) in enumerate(reserved)]
    jobs = [
        job(f"job-{at}", gpus=count, cpu=0, project=who) for at, (count, who) in enumerate(asked)
    ]
    by_id = {each.job_id: each for each in jobs}
    result = plan(Snapshot(tuple(jobs), (N1,), (), (moment(N1, *parts),), NOW))
    used = dict.fromkeys(("vision", "speech", "other"), 0)
    for placement in result.placements:
        used[by_id[placement.job_id].project] += by_id[placement.job_id].gpu_count
    for project in used:
        # Whoever has a part finds at least as much, whatever others were given.
        own = sum(part.gpu_count for part in parts if part.project == project)
        others = sum(used.values()) - used[project]
        total = sum(part.gpu_count for part in parts)
        if total <= 8:
            assert others <= 8 - own


def test_instances_of_a_divided_card_do_not_stand_in_for_a_card_that_is_kept():
    gpus = [
        Gpu("whole", "H100", True, False),
        *(Gpu(f"part-{number}", "H100-1g.10gb", True, False, part=True) for number in range(2)),
    ]
    node = a_node("n", gpus=gpus)
    reserved = moment(node, kept(gpus=1))
    assert outcome([job(gpus=1)], [node], [reserved])["job-1"] != "node-n"
    part = job(gpus=1, gpu_type="H100-1g.10gb")
    assert outcome([part], [node], [reserved])["job-1"] == "node-n"
