"""Jobs that run inside a reservation that they name, and nowhere else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scheduler.test_reserved import NOW, job, kept, moment, outcome, whole, why
from tests.unit.scheduler.worlds import GIB, a_node
from windlass_server.scheduler.outlook import Verdict, outlook
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.snapshot import Demand, Snapshot

N1, N2 = a_node("n1", gpus=8), a_node("n2", gpus=8)


def inside(name: str = "job-1", reservation: str = "r1", **more: object) -> Demand:
    return replace(job(name, project="vision", **more), reservation=reservation)


def part(gpus: int = 4, cpu: int = 8000, memory: int = 64 * GIB, name: str = "r1", **more: object):
    return kept(name, gpus=gpus, cpu=cpu, memory=memory, **more)  # type: ignore[arg-type]


def test_it_goes_where_its_reservation_is_and_waits_when_that_is_in_use():
    jobs = [
        inside("job-1", gpus=3),
        inside("job-2", gpus=2),
        job("job-3", gpus=5, project="vision"),
    ]
    told = outcome(jobs, [N1, N2], [moment(N2, part())])
    assert (told["job-1"], told["job-2"]) == ("node-n2", "WAITING_BEHIND_EARLIER_JOBS")
    assert told["job-3"] in ("node-n1", "node-n2")


def test_what_it_names_is_used_first():
    both = [moment(N1, part(4, name="r0"), part(4, name="r1"))]
    jobs = [inside("job-1", gpus=4), inside("job-2", "r0", gpus=4)]
    assert outcome(jobs, [N1], both) == {"job-1": "node-n1", "job-2": "node-n1"}


@pytest.mark.parametrize(
    ("asked", "most"),
    [
        ({"gpus": 5}, "needs 5 GPUs; the most that reservation r1 has left on one node is 4"),
        (
            {"cpu": 9000},
            "needs 9 cores; the most that reservation r1 has left on one node with 1 GiB of memory is 8 cores",
        ),
    ],
)
def test_more_than_its_reservation_has_left_is_waited_for_though_nodes_are_free(asked, most):
    demand, moments = inside(**asked), [moment(N2, part())]
    assert why(demand, [N1, N2], moments) == most
    assert outcome([demand], [N1, N2], moments) == {"job-1": "RESERVATION_IN_USE"}


def test_it_waits_for_the_time_of_its_reservation_and_behind_that_for_ever():
    early = [moment(N1), moment(N1, part(), after=10)]
    assert outcome([inside(gpus=1)], [N1], early) == {"job-1": "RESERVATION_PENDING"}
    assert why(inside(gpus=1), [N1], early) == "reservation r1 begins at 2027-01-15T08:10:00Z"
    assert outcome([inside(gpus=1)], [N1], [moment(N1)]) == {"job-1": "RESERVATION_ENDED"}
    assert outcome([inside(gpus=1)], [N1], []) == {"job-1": "RESERVATION_ENDED"}
    seen = outlook(Snapshot((inside(gpus=1),), (N1,), (), (), NOW), "job-1")
    assert seen.verdict is Verdict.NEVER


def test_the_smallest_change_is_to_run_anywhere():
    world = Snapshot((inside(gpus=5),), (N1, N2), (), (moment(N2, part()),), NOW)
    told = [(one.field, one.enough) for one in outlook(world, "job-1").changes]
    assert ("resources.gpu_count", "4") in told
    assert ("reservation_id", "") in told


def test_several_nodes_are_all_inside_it():
    nodes = [replace(a_node(name, gpus=8), address="x") for name in ("n1", "n2", "n3")]
    moments = [moment(nodes[0], whole(nodes[0])), moment(nodes[2], whole(nodes[2]))]
    demand = replace(inside(gpus=8), nodes=2, min_nodes=2)
    (placement,) = plan(Snapshot((demand,), tuple(nodes), (), tuple(moments), NOW)).placements
    assert [place.node_id for place in placement.places] == ["node-n1", "node-n3"]
    three = replace(inside(gpus=8), nodes=3, min_nodes=3)
    assert outcome([three], nodes, moments) == {"job-1": "RESERVATION_IN_USE"}


def test_a_whole_node_of_it_can_be_had_alone():
    alone = replace(inside(gpus=1), exclusive=True)
    assert outcome([alone], [N1, N2], [moment(N2, whole(N2))]) == {"job-1": "node-n2"}
    assert outcome([alone], [N1, N2], [moment(N2, part())]) == {"job-1": "RESERVATION_IN_USE"}


@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=8),
    st.integers(0, 8),
    st.integers(0, 8),
)
def test_all_that_name_it_have_no_more_than_it_keeps(asked, first, second):
    jobs = [
        (inside if named else job)(
            f"job-{number}", gpus=gpus, **({} if named else {"project": "vision"})
        )
        for number, (gpus, named) in enumerate(asked)
    ]
    moments = [moment(N1, part(first, cpu=3000)), moment(N2, part(second, cpu=3000))]
    result = plan(Snapshot(tuple(jobs), (N1, N2), (), tuple(moments), NOW))
    by_id = {each.job_id: each for each in jobs}
    for node, gpus in (("node-n1", first), ("node-n2", second)):
        here = [by_id[one.job_id] for one in result.placements if one.node_id == node]
        named = [each for each in here if each.reservation]
        assert sum(each.gpu_count for each in named) <= gpus
        assert sum(each.cpu_millis for each in named) <= 3000


def test_its_time_limit_does_not_matter_but_what_others_reserve_behind_it_does():
    moments = [
        moment(N1, part()),
        moment(N1, part(8, cpu=32_000, memory=256 * GIB, name="r9", project="x"), after=30),
    ]
    assert outcome([inside(gpus=1, minutes=20)], [N1], moments) == {"job-1": "node-n1"}
    assert outcome([inside(gpus=1, minutes=60)], [N1], moments) == {"job-1": "RESERVATION_IN_USE"}
