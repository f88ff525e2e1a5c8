"""Jobs that wait keep what they wait for from those behind them, and from nobody else."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.unit.scheduler.worlds import GIB, a_job, a_node
from windlass_server.scheduler.backfill import Start
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.policies import Backfill, Policies, Policy
from windlass_server.scheduler.snapshot import (
    Demand,
    Gpu,
    Kept,
    Moment,
    NodeState,
    Running,
    RunTime,
    Snapshot,
)

MINUTE = 60_000_000
NOW = 1_800_000_000_000_000


def runs(
    node: NodeState,
    *gpus: int,
    until: int | None = None,
    cpu: int = 0,
    memory: int = 0,
    share: int = 0,
    project: str = "other",
    ran: int = 0,
) -> Running:
    """What holds some of a node's GPUs, by their numbers, for so many minutes from now.

    It has run for `ran` minutes.
    """
    end = None if until is None else NOW + until * MINUTE
    name = f"{node.name}-{'-'.join(map(str, gpus))}-{until}-{cpu}"
    return Running(
        job_id=f"job-{name}", run_id=f"run-{name}", project=project, user="bob", queue="",
        priority=0, node_id=node.node_id, cpu_millis=cpu, memory_bytes=memory,
        gpu_uuids=tuple(node.gpus[number].uuid for number in gpus),
        gpu_type=node.gpus[gpus[0]].gpu_type if gpus else "", gpu_millis=share,
        started_at=NOW - ran * MINUTE, likely_end=end, expected_end=end, limit_end=end, saved_at=NOW,
        preemptible=True, leaving=False,
    )  # fmt: skip


def busy(node: NodeState, running: Sequence[Running]) -> NodeState:
    """A node on which that runs."""
    mine = [one for one in running if one.node_id == node.node_id]
    held = {uuid for one in mine for uuid in one.gpu_uuids}
    return replace(
        node,
        cpu_free=node.cpu_millis - sum(one.cpu_millis for one in mine),
        memory_free=node.memory_bytes - sum(one.memory_bytes for one in mine),
        gpus=tuple(replace(gpu, held=gpu.held or gpu.uuid in held) for gpu in node.gpus),
    )


def job(
    name: str = "job-1",
    *,
    minutes: int | None = None,
    learned: int | None = None,
    project: str = "",
    **more: object,
) -> Demand:
    """A job with a limit, or with what nine of ten such jobs took, in minutes."""
    return replace(
        a_job(name, **more),  # type: ignore[arg-type]
        project=project,
        user="bob",
        time_limit=None if minutes is None else minutes * MINUTE,
        expected_run=None if learned is None else RunTime(MINUTE, learned * MINUTE),
    )


def deep(depth: int) -> Policies:
    return Policies(Policy(backfill=Backfill(depth)))


def world(
    jobs: Sequence[Demand],
    nodes: Sequence[NodeState],
    running: Sequence[Running] = (),
    *,
    moments: Sequence[Moment] = (),
    depth: int = 10,
) -> Snapshot:
    return Snapshot(
        queue=tuple(jobs),
        nodes=tuple(busy(node, running) for node in nodes),
        moments=tuple(moments),
        now=NOW,
        running=tuple(running),
        policies=deep(depth),
    )


def outcome(snapshot: Snapshot) -> dict[str, str]:
    """Where each job goes, or why it waits."""
    result = plan(snapshot)
    return {one.job_id: one.node_id for one in result.placements} | {
        one.job_id: one.reason for one in result.waiting
    }


def starts(snapshot: Snapshot) -> dict[str, tuple[str, int]]:
    """Where and in how many minutes jobs that wait are to start."""
    return {
        one.job_id: (one.start.node_id, (one.start.at - NOW) // MINUTE)
        for one in plan(snapshot).waiting
        if one.start is not None
    }


N1 = a_node("n1", gpus=8)
N2 = a_node("n2", gpus=8)
HALF = [runs(N1, 0, 1, 2, 3, until=30)]
BIG = job("big", gpus=8, minutes=60)
HELD = "WOULD_DELAY_EARLIER_JOB"


@pytest.mark.parametrize(
    ("behind", "placed"),
    [
        (job("small", gpus=1, minutes=30), True),
        (job("small", gpus=4, minutes=29), True),
        (job("small", gpus=1, minutes=31), False),
        (job("small", gpus=1), False),
        (job("small", gpus=1, learned=30), True),
        (job("small", gpus=1, learned=31), False),
        (job("small", gpus=1, minutes=31, learned=5), False),  # what was stated counts
        (job("small", cpu=31_000), True),  # it leaves what the other needs
        (job("small", cpu=32_000), False),
        (job("small", cpu=0, memory=256 * GIB), False),
        (job("small", gpus=1, priority=1), True),  # it comes before
    ],
)
def test_a_job_behind_starts_only_if_it_is_over_before_or_leaves_what_is_needed(
    behind: Demand, placed: bool
):
    snapshot = world([BIG, behind], [N1], HALF)
    found = outcome(snapshot)
    assert found["small"] == ("node-n1" if placed else HELD)
    assert found["big"] == "INSUFFICIENT_GPUS"


def test_it_is_told_for_whom_the_room_is_kept_and_how_short_it_would_have_to_be():
    (waiting,) = (
        one
        for one in plan(world([BIG, job("small", gpus=1)], [N1], HALF)).waiting
        if one.job_id == "small"
    )
    assert waiting.message == (
        "has room on node n1, but could still run when big, which waits before it, is to start "
        "there at 2027-01-15T08:30:00Z; without a time_limit it may run for ever, with a time_limit "
        "of at most 30m, its grace period included, it would start now"
    )


def test_another_node_takes_it():
    found = outcome(world([BIG, job("small", gpus=4)], [N1, a_node("n2", gpus=4)], HALF))
    assert found["small"] == "node-n2"


def test_gpus_of_a_node_are_kept_and_not_all_of_it():
    jobs = [job("a", gpus=6, minutes=60), job("b", gpus=2), job("c", gpus=1)]
    assert outcome(world(jobs, [N1], HALF)) == {
        "a": "INSUFFICIENT_GPUS", "b": "node-n1", "c": HELD,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("running", "expected"),
    [
        ([runs(N1, 0, until=30), runs(N2, 0, until=20)], ("node-n2", 20)),
        ([runs(N1, 0, until=20), runs(N2, 0, until=20)], ("node-n1", 20)),
        ([runs(N1, 0, until=5), runs(N1, 1), runs(N2, 0, until=20)], ("node-n2", 20)),
        ([runs(N1, 0, until=5), runs(N1, 1, until=50), runs(N2, 0, until=20)], ("node-n2", 20)),
        ([runs(N1, 0, until=5), runs(N1, until=9, cpu=31_500), runs(N2, 0)], ("node-n1", 9)),
        ([runs(N1, 0, until=0), runs(N2, 0, until=20)], ("node-n1", 0)),  # it is late
        ([runs(N1, 0), runs(N2, 0)], None),
    ],
)
def test_the_start_is_the_first_at_which_a_node_has_all_that_is_needed(
    running: list[Running], expected: tuple[str, int] | None
):
    found = starts(world([job("big", gpus=8)], [N1, N2], running))
    assert found == ({} if expected is None else {"big": expected})


def test_of_a_shared_card_the_last_counts():
    shared = a_node("n1", gpus=2, sharers=4)
    running = [runs(shared, 0, until=5, share=250), runs(shared, 0, until=40, share=250)]
    assert starts(world([job("both", gpus=2)], [shared], running)) == {"both": ("node-n1", 40)}


def test_a_share_waits_for_a_whole_card():
    shared = a_node("n1", gpus=1, sharers=2)
    running = [runs(shared, 0, until=5, share=500), runs(shared, 0, until=40, share=500)]
    assert starts(world([job("share", share=600)], [shared], running)) == {"share": ("node-n1", 40)}


def test_instances_are_kept_by_their_profile():
    gpus = [Gpu(f"n1-{n}", "H100-1g.10gb", True, False, True, profile="1g.10gb") for n in range(4)]
    node = a_node("n1", gpus=gpus)
    jobs = [
        replace(job(name, gpus=count), mig_profile="1g.10gb", gpu_type="H100")
        for name, count in (("a", 3), ("b", 1), ("c", 1))
    ]
    running = [runs(node, 0, 1, until=10)]
    assert outcome(world(jobs, [node], running)) == {
        "a": "INSUFFICIENT_GPUS", "b": "node-n1", "c": HELD,
    }  # fmt: skip


@pytest.mark.parametrize(("wanted", "known"), [(6, True), (7, False)])
def test_what_is_sick_or_held_by_nobody_known_does_not_come_back(wanted: int, known: bool):
    node = a_node("n1", gpus=8, sick=1, held=2)
    found = starts(world([job("big", gpus=wanted)], [node], [runs(node, 0, until=5)]))
    assert found == ({"big": ("node-n1", 5)} if known else {})


def test_each_of_the_first_waits_for_its_own_turn():
    jobs = [job(f"big-{number}", gpus=8, minutes=60) for number in range(3)]
    assert starts(world(jobs, [N1], HALF)) == {
        "big-0": ("node-n1", 30), "big-1": ("node-n1", 90), "big-2": ("node-n1", 150),
    }  # fmt: skip


DAY = 24 * 60
# Nobody knows when these are over.
UNKNOWN = [runs(N1, 0, 1, 2, 3, ran=60), runs(N2, 0, 1, 2, 3, ran=50)]


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        (job("small", gpus=1), "node-n2"),  # on the other node
        (job("small", gpus=5), "INSUFFICIENT_GPUS"),
        (replace(job("small", gpus=1), pools=("first",)), HELD),
        (
            replace(job("small", cpu=31_000), pools=("first",)),
            "node-n1",
        ),  # it leaves what is needed
        (replace(job("small", gpus=1, minutes=DAY - 60), pools=("first",)), "node-n1"),
        (replace(job("small", gpus=1, minutes=DAY - 59), pools=("first",)), HELD),
        (replace(job("small", gpus=1, learned=DAY - 60), pools=("first",)), "node-n1"),
        (replace(job("small", gpus=1, priority=1), pools=("first",)), "node-n1"),
    ],
)
def test_something_is_kept_also_where_nobody_knows_when_it_will_be_needed(
    behind: Demand, expected: str
):
    """On the node on which the last has begun first; from a day after that on."""
    nodes = [replace(N1, pool="first"), replace(N2, pool="second")]
    snapshot = world([BIG, behind], nodes, UNKNOWN)
    assert outcome(snapshot) == {"big": "INSUFFICIENT_GPUS", "small": expected}
    assert starts(snapshot) == {}


def test_what_is_left_when_all_that_is_needed_has_ended_may_be_taken():
    jobs = [job("a", gpus=6), job("b", gpus=2), job("c", gpus=1)]
    assert outcome(world(jobs, [N1], UNKNOWN[:1])) == {
        "a": "INSUFFICIENT_GPUS", "b": "node-n1", "c": HELD,
    }  # fmt: skip


def test_behind_one_of_which_nobody_knows_when_it_starts_there_is_no_start():
    jobs = [BIG, job("next", gpus=8, minutes=60)]
    assert starts(world(jobs, [N1], UNKNOWN[:1])) == {}


def test_one_that_is_held_up_is_told_that_nobody_knows_until_when():
    waiting = plan(world([BIG, job("small", gpus=1)], [N1], UNKNOWN[:1])).waiting[-1]
    assert waiting.message == (
        "has room on node n1, but could still run when big, which waits before it, is to start "
        "there, nobody knows when; without a time_limit it may run for ever, with a time_limit of "
        "at most 23h, its grace period included, it would start now"
    )


def test_a_start_that_is_known_comes_before_all_that_are_not():
    running = [runs(N1, 0, ran=90 * DAY), runs(N2, 0, until=30 * DAY)]
    assert starts(world([job("big", gpus=8)], [N1, N2], running)) == {"big": ("node-n2", 30 * DAY)}


def test_what_is_kept_while_nobody_knows_leaves_reservations_alone():
    """A reservation that is there for longer than a day is still for those whom it is for."""
    moments = [moment(N1, 0, 4, kept(gpus=4, until=9 * DAY))]
    small = job("small", gpus=4, minutes=8 * DAY, project="vision")
    found = outcome(world([BIG, small], [N1], UNKNOWN[:1], moments=moments))
    assert found["small"] == "node-n1"
    jobs = [replace(BIG, project="text"), replace(small, project="text")]
    assert outcome(world(jobs, [N1], UNKNOWN[:1], moments=moments))["small"] == "RESERVED"


def test_behind_one_that_may_run_for_ever_there_is_no_start():
    jobs = [job("ever", gpus=8), job("next", gpus=8, minutes=60)]
    assert starts(world(jobs, [N1], HALF)) == {"ever": ("node-n1", 30)}


def test_one_that_is_short_starts_before_a_start_that_was_promised_earlier():
    jobs = [BIG, job("half", gpus=5, minutes=10)]
    running = [*HALF, runs(N1, 4, 5, until=10)]
    assert starts(world(jobs, [N1], running)) == {"big": ("node-n1", 30)} | {
        "half": ("node-n1", 90)
    }
    running = [runs(N1, 0, 1, 2, until=30), runs(N1, 4, 5, until=10)]
    assert starts(world(jobs, [N1], running)) == {"big": ("node-n1", 30), "half": ("node-n1", 10)}


def test_what_the_plan_places_itself_ends_too():
    jobs = [job("first", gpus=8, minutes=20), job("second", gpus=8, minutes=20)]
    assert starts(world(jobs, [N1])) == {"second": ("node-n1", 20)}
    jobs = [job("first", gpus=8), job("second", gpus=8, minutes=20)]
    assert starts(world(jobs, [N1])) == {}


def test_without_depth_nothing_is_kept_where_nobody_knows():
    found = outcome(world([BIG, job("small", gpus=1)], [N1], UNKNOWN[:1], depth=0))
    assert found["small"] == "node-n1"


@pytest.mark.parametrize(("depth", "protected"), [(0, 0), (1, 1), (2, 2), (9, 3)])
def test_so_many_keep_something_as_the_policy_says(depth: int, protected: int):
    jobs = [job(f"big-{number}", gpus=8, minutes=60) for number in range(3)]
    assert len(starts(world(jobs, [N1], HALF, depth=depth))) == protected


def test_without_depth_it_is_first_come_first_served_with_what_fits():
    assert outcome(world([BIG, job("small", gpus=1)], [N1], HALF, depth=0)) == {
        "big": "INSUFFICIENT_GPUS", "small": "node-n1",
    }  # fmt: skip


def test_each_queue_counts_by_itself():
    jobs = [
        replace(job(f"{queue}-{number}", gpus=8, minutes=60), queue=queue)
        for number in range(2)
        for queue in ("a", "b")
    ]
    assert set(starts(world(jobs, [N1], HALF, depth=1))) == {"a-0", "b-0"}


def test_one_that_can_never_run_keeps_nothing():
    impossible = job("impossible", gpus=16)
    assert outcome(world([impossible, job("small", gpus=1)], [N1], HALF)) == {
        "impossible": "INSUFFICIENT_GPUS", "small": "node-n1",
    }  # fmt: skip


def test_nodes_that_take_no_work_are_not_waited_for():
    closed = replace(N2, takes_work=False)
    away = replace(a_node("n3", gpus=8), ready=False)
    running = [runs(N1, 0, until=50), runs(closed, 0, until=5), runs(away, 0, until=5)]
    assert starts(world([BIG], [N1, closed, away], running)) == {"big": ("node-n1", 50)}


def test_a_node_that_failed_the_job_is_waited_for_until_it_is_tried_again():
    again = job("big", gpus=8, faults={"n1": NOW + 40 * MINUTE})
    assert starts(world([again], [N1], HALF)) == {"big": ("node-n1", 40)}


def kept(*, project: str = "vision", gpus: int = 8, until: int) -> Kept:
    return Kept("r1", project, frozenset(), 0, 0, gpus, "H100", NOW + until * MINUTE)


def moment(node: NodeState, at: int, gpus: int, *parts: Kept) -> Moment:
    """In so many minutes; what is not held by then."""
    return Moment(
        node.node_id, NOW + at * MINUTE, node.cpu_millis, node.memory_bytes, {"H100": gpus}, parts
    )


@pytest.mark.parametrize(
    ("demand", "moments", "expected"),
    [
        # Kept until later than the work ends.
        (BIG, [moment(N1, 0, 4, kept(gpus=4, until=50))], 50),
        # It would run into what begins later, and starts when that is over.
        (BIG, [moment(N1, 0, 4), moment(N1, 60, 8, kept(until=100))], 100),
        # It is over before.
        (BIG, [moment(N1, 0, 4), moment(N1, 90, 8, kept(until=100))], 30),
        # It is for this job.
        (job("big", gpus=8, minutes=60, project="vision"), [moment(N1, 0, 4, kept(gpus=4, until=50))], 30),
        # Who may run for ever runs into everything.
        (job("big", gpus=8), [moment(N1, 0, 4), moment(N1, 900, 8, kept(until=999))], 999),
    ],
)  # fmt: skip
def test_a_start_respects_reservations(demand: Demand, moments: list[Moment], expected: int):
    assert starts(world([demand], [N1], HALF, moments=moments)) == {"big": ("node-n1", expected)}


def test_what_a_reservation_gets_back_from_its_own_is_kept():
    mine = [runs(N1, 0, 1, 2, 3, until=30, project="vision")]
    moments = [moment(N1, 0, 4, kept(gpus=2, until=200))]
    assert starts(world([BIG], [N1], mine, moments=moments)) == {"big": ("node-n1", 200)}


def test_reservations_and_promises_hold_together():
    moments = [moment(N1, 0, 4), moment(N1, 100, 8, kept(gpus=4, until=200))]
    jobs = [
        BIG,  # 30 to 90
        job("into", gpus=5, minutes=20),  # 90 to 110 would meet the reservation
        job("short", gpus=4, minutes=30),  # 0 to 30
        job("now", gpus=1, minutes=31),
    ]
    snapshot = world(jobs, [N1], HALF, moments=moments)
    assert starts(snapshot)["into"] == ("node-n1", 200)
    found = outcome(snapshot)
    assert (found["short"], found["now"]) == ("node-n1", "WAITING_BEHIND_EARLIER_JOBS")


def test_a_start_does_not_jump_while_nothing_happens_that_it_follows_from():
    running = [runs(N1, 0, until=30), runs(N2, 0, until=31)]
    jobs = [BIG, *(job(f"small-{n}", gpus=1, minutes=5 + n) for n in range(3))]
    before = plan(world(jobs, [N1, N2], running))
    (start,) = {one.start for one in before.waiting if one.job_id == "big"}
    assert start == Start("node-n1", NOW + 30 * MINUTE)
    nodes = {node.node_id: node for node in (N1, N2)}
    for one in before.placements:
        node = nodes[one.node_id]
        minutes = 5 + int(one.job_id[-1])
        numbers = [int(uuid.rpartition("-")[2]) for uuid in one.gpu_uuids]
        running.append(runs(node, *numbers, until=minutes))
    after = plan(replace(world([BIG], [N1, N2], running), now=NOW + MINUTE))
    assert [one.start for one in after.waiting] == [start]


def several(name: str, count: int, *, least: int = 0, **more: object) -> Demand:
    """A job of several nodes, each with so many GPUs."""
    wanted = job(name, **more)  # type: ignore[arg-type]
    return replace(wanted, nodes=count, min_nodes=least or count)


RACK = [
    replace(a_node(f"n{number}", gpus=8), address="10.0.0.1", place=("c", "", "", "r1"))
    for number in range(3)
]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (several("gang", 2, gpus=8), 20),
        (several("gang", 3, gpus=8), 30),
        (several("gang", 3, gpus=8, least=2), 20),
        (several("gang", 4, gpus=8), None),
        (several("gang", 2, gpus=8, faults={"n0": NOW + 25 * MINUTE}), 25),
        (several("gang", 2, gpus=8, faults={"n0": NOW + 45 * MINUTE}), 30),
    ],
)
def test_a_job_of_several_nodes_starts_when_enough_have_room_at_once(
    wanted: Demand, expected: int | None
):
    running = [runs(node, 0, until=10 * (n + 1)) for n, node in enumerate(RACK)]
    found = starts(world([wanted], RACK, running))
    assert [minutes for _, minutes in found.values()] == ([] if expected is None else [expected])


def test_a_job_of_several_nodes_keeps_those_on_which_the_last_began_first():
    running = [runs(node, 0, ran=10 * (n + 1)) for n, node in enumerate(RACK)]
    jobs = [several("a", 2, gpus=8), *(job(name, gpus=4) for name in ("b", "c", "d"))]
    assert outcome(world(jobs, RACK, running)) == {
        "a": "INSUFFICIENT_GPUS", "b": "node-n0", "c": HELD, "d": HELD,
    }  # fmt: skip


def test_all_of_its_nodes_keep_their_part():
    running = [runs(node, 0, 1, until=10 * (n + 1)) for n, node in enumerate(RACK)]
    gang = several("a", 2, gpus=6, minutes=60)
    # Each node has six free: together they would start now, so one more is taken of each first.
    gang = replace(gang, gpu_count=7)
    jobs = [gang, *(job(name, gpus=6, minutes=90) for name in ("b", "c", "d"))]
    found = outcome(world(jobs, RACK, running))
    assert found["a"] == "INSUFFICIENT_GPUS"
    assert sorted(found[name] for name in "bcd") == [HELD, HELD, "node-n2"]


def test_promises_of_several_nodes_follow_each_other():
    running = [runs(node, 0, until=10 * (n + 1)) for n, node in enumerate(RACK)]
    jobs = [several(name, 2, gpus=8, minutes=60) for name in ("a", "b")]
    found = starts(world(jobs, RACK, running))
    assert {name: at for name, (_, at) in found.items()} == {"a": 20, "b": 80}


def test_a_job_that_wants_a_node_alone_keeps_all_of_it():
    alone = replace(job("alone", cpu=1000, minutes=60), exclusive=True)
    jobs = [alone, job("cpu", cpu=1000), job("short", cpu=1000, minutes=20)]
    snapshot = world(jobs, [N1], [runs(N1, until=30, cpu=1000)])
    assert starts(snapshot)["alone"] == ("node-n1", 30)
    assert outcome(snapshot) == {"alone": "NODE_NOT_EMPTY", "cpu": HELD, "short": "node-n1"}


def test_of_several_types_the_one_is_waited_for_that_is_free_first():
    l4 = a_node("n2", gpus=8, gpu_type="L4")
    wanted = replace(job("big", gpus=8, minutes=60), gpu_types=("H100", "L4"))
    running = [runs(N1, 0, until=30), runs(l4, 0, until=20)]
    assert starts(world([wanted], [N1, l4], running)) == {"big": ("node-n2", 20)}
