"""What jobs, nodes and quotas ask for holds in virtual time as it does on a server."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.simulation.timed import GIB, a_job, a_node, played, starts
from windlass_server.jobs.dependency_rules import Kind
from windlass_server.scheduler.policies import Policies, Policy, PreemptionRules
from windlass_server.scheduler.quota import Dimension, Quota
from windlass_server.scheduler.snapshot import LabelRule, LabelTest, Topology
from windlass_server.simulation.measures import measured
from windlass_server.simulation.outcome import Outcome, recorded
from windlass_server.simulation.turns import BY_NAME, Turns
from windlass_server.simulation.virtual_time import play
from windlass_server.simulation.workload import SECOND, TimedJob, Workload

EU = LabelRule("zone", LabelTest.IN, ("eu",))


def asking(job: TimedJob, **changes: object) -> TimedJob:
    return replace(job, demand=replace(job.demand, **changes))


def waiting_for(job: TimedJob, *after: tuple[Kind, int]) -> TimedJob:
    return replace(job, after=tuple((kind, f"job-{number}") for kind, number in after))


@pytest.mark.parametrize("policy", BY_NAME)
@pytest.mark.parametrize(
    ("kind", "fails", "start"),
    [
        (Kind.AFTER, False, 5),
        (Kind.AFTER_OK, False, 25),
        (Kind.AFTER_OK, True, None),
        (Kind.AFTER_NOT_OK, False, None),
        (Kind.AFTER_NOT_OK, True, 25),
        (Kind.AFTER_ANY, True, 25),
    ],
)
def test_a_job_waits_for_what_another_comes_to(
    policy: str, kind: Kind, fails: bool, start: int | None
):
    first = replace(a_job(1, 5, 20, 1), fails=fails)
    outcome = played(policy, [first, waiting_for(a_job(2, 5, 10, 1), (kind, 1))])
    assert starts(outcome) == {"job-1": 5, "job-2": start}
    if start is None:
        assert outcome.fates[1].reason == "DEPENDENCY_NEVER_MET"
        assert "job-1 has ended as" in outcome.fates[1].message
    else:
        assert measured(outcome).wait.most == 0


def test_what_will_never_be_met_goes_on_along_the_chain():
    jobs = [replace(a_job(1), fails=True)]
    jobs += [waiting_for(a_job(n), (Kind.AFTER_OK, n - 1)) for n in (2, 3)]
    jobs += [waiting_for(a_job(4), (Kind.AFTER_ANY, 3))]
    outcome = played("built-in", jobs)
    assert starts(outcome) == {"job-1": 0, "job-2": None, "job-3": None, "job-4": 10}
    assert {fate.reason for fate in outcome.fates[1:3]} == {"DEPENDENCY_NEVER_MET"}


def test_a_limit_that_ends_a_job_is_no_success():
    jobs = [a_job(1, 0, 20, limit=10), waiting_for(a_job(2), (Kind.AFTER_OK, 1))]
    assert starts(played("fifo", jobs))["job-2"] is None


def test_a_job_waits_for_all_that_it_names_and_for_its_time():
    later = waiting_for(a_job(3, 0), (Kind.AFTER_OK, 1), (Kind.AFTER_OK, 2))
    jobs = [a_job(1, 0, 10), a_job(2, 0, 30), replace(later, start_after=50 * SECOND)]
    outcome = played("built-in", jobs)
    assert starts(outcome) == {"job-1": 0, "job-2": 0, "job-3": 50}
    assert measured(outcome).wait.most == 0
    early = replace(later, start_after=20 * SECOND)
    assert starts(played("built-in", [*jobs[:2], early]))["job-3"] == 30


def test_who_waits_for_a_job_that_cannot_be_placed_never_starts():
    jobs = [a_job(1, gpus=99), waiting_for(a_job(2), (Kind.AFTER_OK, 1))]
    outcome = played("built-in", jobs)
    assert [fate.started_at for fate in outcome.fates] == [None, None]
    assert outcome.fates[1].reason == "DEPENDENCY_NEVER_MET"


@pytest.mark.parametrize("policy", ["fifo", "built-in"])
def test_the_priority_of_who_waits_is_inherited(policy: str):
    """The third goes before the second, because an urgent one waits for it."""
    jobs = [a_job(1, 0, 10, 8), a_job(2, 1, 10, 8), a_job(3, 2, 10, 8)]
    urgent = waiting_for(a_job(4, 3, 10, 8, priority=9), (Kind.AFTER_OK, 3))
    assert starts(played(policy, [*jobs, urgent])) == {
        "job-1": 0,
        "job-3": 10,
        "job-4": 20,
        "job-2": 30,
    }


def test_an_inherited_priority_is_gone_with_whoever_had_it():
    """The urgent one will never start, so nobody is served by its priority any more."""
    fails = replace(a_job(1, 0, 10, 8), fails=True)
    jobs = [fails, a_job(2, 1, 10, 8), a_job(3, 2, 10, 8)]
    urgent = waiting_for(a_job(4, 3, 10, 8, priority=9), (Kind.AFTER_OK, 1), (Kind.AFTER_OK, 3))
    assert starts(played("fifo", [*jobs, urgent])) == {
        "job-1": 0,
        "job-2": 10,
        "job-3": 20,
        "job-4": None,
    }


@pytest.mark.parametrize("policy", BY_NAME)
def test_a_job_that_has_its_node_alone_holds_all_of_it(policy: str):
    alone = asking(a_job(1, 0, 10, 1), exclusive=True)
    outcome = played(policy, [alone, a_job(2, 1, 5, 0)])
    assert starts(outcome) == {"job-1": 0, "job-2": 10}
    assert measured(outcome).allocation == pytest.approx(100)
    beside = played(policy, [a_job(1, 0, 10, 0), asking(a_job(2, 1, 5, 1), exclusive=True)])
    assert starts(beside) == {"job-1": 0, "job-2": 10}


def test_labels_and_pools_say_where_a_job_may_be():
    nodes = (
        replace(a_node("n1", 8), pool="a100"),
        replace(a_node("n2", 8), labels=(("zone", "eu"),), pool="h100"),
    )
    jobs = [
        asking(a_job(1, 0, 10, 8), labels=(EU,)),
        asking(a_job(2, 1, 10, 8), pools=("h100",)),
        asking(a_job(3, 2, 10, 8), labels=(replace(EU, preferred=True),)),
        asking(a_job(4, 3, 10, 8), labels=(replace(EU, values=("us",)),)),
    ]
    outcome = played("built-in", jobs, *nodes)
    assert starts(outcome) == {"job-1": 0, "job-2": 10, "job-3": 2, "job-4": None}
    assert [fate.node_ids for fate in outcome.fates[:3]] == [("n2",), ("n2",), ("n1",)]
    assert outcome.fates[3].reason == "NODE_LABELS_UNAVAILABLE"


def test_a_job_makes_do_with_fewer_nodes_and_lies_within_a_rack():
    racks = ["r1", "r1", "r2"]
    nodes = [replace(a_node(f"n{n}"), place=("", "", "b", rack)) for n, rack in enumerate(racks)]
    job = asking(a_job(1, 0, 10, 8), nodes=3, min_nodes=2, topology=Topology(required=3))
    outcome = played("built-in", [job, a_job(2, 1, 10, 8)], *nodes)
    assert starts(outcome) == {"job-1": 0, "job-2": 1}
    assert outcome.fates[0].node_ids == ("n0", "n1")
    assert measured(outcome).projects[0].wanted == pytest.approx(24 * 10 / 3600)


def stopping(jobs: list[TimedJob], *quotas: Quota, enabled: bool = True) -> Outcome:
    rules = PreemptionRules(enabled=enabled, min_run=0, back_off=0)
    turns = Turns("stops", Policies(Policy(preemption=rules)), quotas=quotas)
    return play(Workload((a_node(),), tuple(jobs)), turns)


def test_who_says_so_is_not_stopped_for_others():
    jobs = [a_job(1, 0, 100, 8), a_job(2, 10, 20, 8, priority=9)]
    assert starts(stopping(jobs))["job-2"] == 10
    jobs[0] = replace(jobs[0], preemptible=False)
    assert starts(stopping(jobs))["job-2"] == 100


def quota(project: str, **amounts: dict[Dimension, int]) -> Quota:
    return Quota(f"quota-{project}", project, **amounts)


def test_a_quota_keeps_jobs_waiting_until_enough_has_ended():
    jobs = [a_job(n, 0, 10, 2, project="a") for n in (1, 2, 3)] + [a_job(4, 1, 5, 4, project="b")]
    outcome = stopping(jobs, quota("a", limit={Dimension.GPU: 4000}), enabled=False)
    assert starts(outcome) == {"job-1": 0, "job-2": 0, "job-3": 10, "job-4": 1}
    running = stopping(jobs, quota("a", limit={Dimension.RUNNING: 1}), enabled=False)
    assert starts(running) == {"job-1": 0, "job-2": 10, "job-3": 20, "job-4": 1}


def test_what_a_quota_never_allows_is_refused_as_a_server_refuses_it():
    outcome = stopping([a_job(1, gpus=4)], quota("default", limit={Dimension.GPU: 2000}))
    assert (outcome.fates[0].started_at, outcome.fates[0].reason) == (None, "QUOTA")
    assert "4 GPUs" in outcome.fates[0].message


def test_what_was_borrowed_is_taken_back():
    quotas = [
        quota("a", guaranteed={Dimension.GPU: 4000}),
        quota("b", guaranteed={Dimension.GPU: 4000}),
    ]
    jobs = [a_job(n, 0, 100, 4, project="a") for n in (1, 2)]
    jobs += [a_job(3, 10, 20, 4, project="b")]
    outcome = stopping(jobs, *quotas)
    assert starts(outcome) == {"job-1": 0, "job-2": 0, "job-3": 10}
    assert sum(len(fate.cut_short) for fate in outcome.fates) == 1
    assert starts(stopping(jobs, *quotas, enabled=False))["job-3"] == 100


def test_all_of_it_is_said_in_a_trace(tmp_path: Path):
    from windlass_server.simulation import clusters, csv_jobs

    trace, nodes = tmp_path / "jobs.csv", tmp_path / "nodes.csv"
    trace.write_text(
        "submit_time,run_time,gpus,nodes,min_nodes,id,after,start_after,result,exclusive,node_labels,"
        "prefer_node_labels,topology,prefer_topology,pool,preemptible\n"
        "0,10,1,,,prepare,,,failed,yes,zone=eu;!old,disk!=hdd,,,h100|a100,no\n"
        "0,5,1,2,1,,after_not_ok:prepare,30,,,,,block,rack,,\n",
        encoding="utf-8",
    )
    nodes.write_text(
        "name,gpus,gpu_type,cpu,memory,count,pool,cluster,labels\n"
        "n,8,H100,64,512GiB,2,h100,west,zone=eu; rack=r1\n",
        encoding="utf-8",
    )
    first, second = csv_jobs.read(trace)
    assert first.demand.labels == (
        EU,
        LabelRule("old", LabelTest.ABSENT),
        LabelRule("disk", LabelTest.NOT_IN, ("hdd",), preferred=True),
    )
    assert (first.demand.exclusive, first.demand.pools) == (True, ("a100", "h100"))
    assert (first.fails, first.preemptible, second.preemptible) == (True, False, True)
    assert second.after == ((Kind.AFTER_NOT_OK, "job-0000000"),)
    assert (second.start_after, second.demand.min_nodes) == (30 * SECOND, 1)
    assert second.demand.topology == Topology(4, 3)
    found = clusters.read(nodes)
    assert found[0].place == ("west", "eu", "", "r1")
    assert found[0].pool == "h100"
    outcome = play(Workload(found, (first, second)), BY_NAME["built-in"])
    assert [fate.started_at for fate in outcome.fates] == [0, 30 * SECOND]
    assert outcome.fates[1].node_ids == ("n-0", "n-1")
    kept = tmp_path / "kept.csv"
    with kept.open("w", encoding="utf-8", newline="") as text:
        csv_jobs.write((first, second), text)
    assert csv_jobs.read(kept) == (first, second)


def test_what_was_is_measured_from_when_a_job_waited_for_its_place_alone():
    first = replace(a_job(1, 0, 10), was_started_at=0)
    second = waiting_for(replace(a_job(2, 0, 5), was_started_at=12 * SECOND), (Kind.AFTER_OK, 1))
    third = replace(a_job(3, 0, 5), was_started_at=40 * SECOND, start_after=39 * SECOND)
    found = measured(recorded(Workload((a_node(),), (first, second, third))))
    assert (found.wait.mean, found.wait.most) == (1, 2)


def test_memory_is_that_of_all_when_a_node_is_had_alone():
    outcome = played("greedy", [asking(a_job(1, 0, 10, 0), exclusive=True, memory_bytes=GIB)])
    assert measured(outcome).finished == 1
