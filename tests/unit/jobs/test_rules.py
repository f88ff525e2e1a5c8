"""What the end of a run means, and what is too large."""

import pytest

from windlass.agents.v1 import agent_pb2
from windlass_server.jobs import rules
from windlass_server.jobs.rules import Cause, RunEnd
from windlass_server.jobs.states import Event, Status, after
from windlass_server.resources import usage


@pytest.mark.parametrize(
    ("cause", "code", "signal", "faults", "event", "reason"),
    [
        ("COMPLETED", 0, None, 0, Event.SUCCEED, "COMPLETED"),
        ("COMPLETED", 3, None, 0, Event.FAIL, "NONZERO_EXIT"),
        ("COMPLETED", None, 11, 0, Event.FAIL, "KILLED"),
        ("TIME_LIMIT", None, 9, 0, Event.RUN_OUT_OF_TIME, "TIME_LIMIT"),
        ("OUT_OF_MEMORY", None, 9, 0, Event.RUN_OUT_OF_MEMORY, "OUT_OF_MEMORY"),
        ("BAD_COMMAND", None, None, 0, Event.FAIL, "BAD_COMMAND"),
        ("LAUNCH_FAILED", None, None, 1, Event.REQUEUE, "LAUNCH_FAILED"),
        ("LOST", None, None, 4, Event.REQUEUE, "LOST"),
        ("LOST", None, None, 5, Event.FAIL, "TOO_MANY_NODE_FAULTS"),
        ("GPU_FAULT", 1, None, 4, Event.REQUEUE, "GPU_FAULT"),
        ("GPU_FAULT", 1, None, 5, Event.FAIL, "TOO_MANY_NODE_FAULTS"),
        ("NODE_SHUTDOWN", None, 15, 1, Event.REQUEUE, "NODE_SHUTDOWN"),
        ("NODE_SHUTDOWN", None, 15, 5, Event.REQUEUE, "NODE_SHUTDOWN"),
    ],
)
def test_the_end_of_a_run_ends_or_requeues_its_job(cause, code, signal, faults, event, reason):
    ending = rules.ending(Cause[cause], code, signal, "", faults=faults)
    assert (ending.event, ending.reason) == (event, reason)
    assert ending.message


@pytest.mark.parametrize("cause", [Cause.LOST, Cause.LAUNCH_FAILED, Cause.NODE_SHUTDOWN])
def test_a_job_that_is_being_cancelled_is_not_failed_by_its_nodes_faults(cause):
    ending = rules.ending(cause, None, None, "", faults=rules.MAX_NODE_FAULTS, cancelling=True)
    assert after(Status.CANCELLING, ending.event, "job-1") is Status.CANCELLED


@pytest.mark.parametrize(
    ("cause", "detail", "message"),
    [
        (Cause.STOPPED, "", "cancelled by ada: typo"),
        (Cause.STOPPED, "It was slow.", "cancelled by ada: typo; It was slow."),
        (Cause.LOST, "it was booted", "cancelled by ada: typo; it was booted"),
    ],
)
def test_a_cancelled_job_says_who_cancelled_it_and_not_only_that_it_was_stopped(
    cause, detail, message
):
    ending = rules.ending(cause, None, 15, detail, faults=0, cancelling=True)
    told = rules.cancelled(ending, "CANCEL_REQUESTED", "cancelled by ada: typo")
    assert (told.reason, told.message) == ("CANCEL_REQUESTED", message)


def test_causes_are_those_of_the_contract_and_each_has_a_meaning():
    contract = dict(agent_pb2.RunExit.Cause.items())
    del contract["CAUSE_UNSPECIFIED"]
    told = [cause for cause in Cause if cause < 100]
    assert {cause.name: cause.value for cause in told} == contract
    assert all(rules.ending(cause, None, None, "why", faults=1).message for cause in told)


@pytest.mark.parametrize(
    ("cause", "reason", "expected"),
    [
        (Cause.STOPPED, "LOST", Cause.STOPPED_BY_FAULT),
        (Cause.STOPPED, "GPU_FAULT", Cause.STOPPED_BY_FAULT),
        (Cause.STOPPED, "CHECKPOINT_DAMAGED", Cause.STOPPED_BY_FAULT),
        (Cause.STOPPED, "REQUEUE_REQUESTED", Cause.STOPPED_BY_REQUEUE),
        (Cause.STOPPED, "PREEMPTED", Cause.STOPPED),
        (Cause.STOPPED, "EVICTED", Cause.STOPPED),
        (Cause.COMPLETED, "LOST", Cause.COMPLETED),
        (Cause.LOST, "LOST", Cause.LOST),
    ],
)
def test_what_ended_a_rank_beside_another_is_what_ended_that_one(cause, reason, expected):
    assert rules.beside(cause, reason) is expected
    assert usage._STOPPED_BY_FAULT == Cause.STOPPED_BY_FAULT


@pytest.mark.parametrize(
    ("named", "asked", "cause"),
    [
        (int(Cause.COMPLETED), False, Cause.COMPLETED),
        (int(Cause.STOPPED), True, Cause.STOPPED),
        (int(Cause.STOPPED), False, Cause.LOST),
        (0, False, Cause.LOST),
        (99, True, Cause.LOST),
        (int(Cause.STOPPED_BY_FAULT), True, Cause.LOST),
        (int(Cause.STOPPED_BY_REQUEUE), True, Cause.LOST),
    ],
)
def test_what_a_node_ended_unasked_or_by_no_known_cause_is_lost(named, asked, cause):
    assert rules.cause_of(named, asked=asked) is cause


@pytest.mark.parametrize(("code", "signal"), [(None, 15), (0, None)])
def test_a_cancelled_job_is_stopped_whatever_it_returns_then(code, signal):
    ending = rules.ending(Cause.STOPPED, code, signal, "", faults=0, cancelling=True)
    assert (ending.event, ending.reason) == (Event.STOP, "STOPPED")


@pytest.mark.parametrize("code", [None, 0, 1, rules.REQUEUE_EXIT_CODE])
def test_a_job_whose_node_is_emptied_is_queued_again_whatever_it_returns_then(code):
    ending = rules.ending(Cause.STOPPED, code, None, "", faults=0)
    assert (ending.event, ending.reason) == (Event.REQUEUE, "EVICTED")
    assert after(Status.RUNNING, ending.event, "job-1") is Status.QUEUED


@pytest.mark.parametrize("cause", [Cause.COMPLETED, Cause.TIME_LIMIT])
def test_a_command_that_returns_85_is_run_again(cause):
    ending = rules.ending(cause, rules.REQUEUE_EXIT_CODE, None, "", faults=0, attempt=1)
    assert (ending.event, ending.reason) == (Event.REQUEUE, "REQUEUE_REQUESTED")
    assert after(Status.CANCELLING, ending.event, "job-1") is Status.CANCELLED


def test_a_command_that_returns_85_for_ever_is_given_up():
    again = [
        rules.ending(Cause.COMPLETED, 85, None, "", faults=0, attempt=attempt).reason
        for attempt in (rules.MAX_RUNS - 1, rules.MAX_RUNS)
    ]
    assert again == ["REQUEUE_REQUESTED", "TOO_MANY_RUNS"]


SECOND = 1_000_000


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([], []),
        ([("n1", Cause.LOST, 0)], [("n1", 10)]),
        ([("n1", Cause.LAUNCH_FAILED, -10)], [("n1", None)]),
        ([("n1", Cause.LOST, -99), ("n1", Cause.LAUNCH_FAILED, -1)], [("n1", 59)]),
        ([("n1", Cause.LOST, -1)] * 3, [("n1", 359)]),
        ([("n1", Cause.LOST, -1)] * 4, [("n1", 2159)]),
        ([("n1", Cause.LOST, -1)] * 9, [("n1", 2159)]),
        ([("n2", Cause.LOST, 0), ("n1", Cause.LOST, -20)], [("n1", None), ("n2", 10)]),
        ([("n1", Cause.NODE_SHUTDOWN, -3)] * 4, [("n1", 57)]),
        ([("n1", Cause.NODE_SHUTDOWN, -60)], []),
        ([("n1", Cause.LOST, -500), ("n1", Cause.NODE_SHUTDOWN, -3)], [("n1", 57)]),
        ([("back", Cause.NODE_SHUTDOWN, -3)], []),
        ([("back", Cause.LOST, -5), ("back", Cause.NODE_SHUTDOWN, -3)], [("back", 5)]),
    ],
)
def test_a_node_that_failed_a_job_is_paused_for_it_each_time_for_longer(ends, expected):
    now = 1_800_000_000 * SECOND
    ended = [RunEnd(node, cause, now + at * SECOND) for node, cause, at in ends]
    found = rules.faults(ended, now, {"n1": now - 9999 * SECOND, "back": now - 2 * SECOND})
    assert [
        (fault.node_id, fault.paused_until and (fault.paused_until - now) // SECOND)
        for fault in found
    ] == expected


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("/usr/bin/python3", "python3"),
        ("train.sh", "train.sh"),
        ("/", "/"),
        ("a\nb", "a?b"),
        ("x" * 300, "x" * 128),
    ],
)
def test_a_job_without_a_name_is_called_after_its_program(program, name):
    assert rules.default_name(program) == name


def test_a_command_may_have_128_kib_in_all_and_no_more():
    argument = "x" * 1023
    assert rules.size_violations([argument] * 128, {}, {}) == ()
    (violation,) = rules.size_violations([argument] * 129, {}, {})
    assert violation.field == "job.command"


def test_an_environment_may_have_a_mebibyte_in_all_and_no_more():
    value = "x" * 65_000
    variables = {f"V{n}": value for n in range(17)}
    (violation,) = rules.size_violations(["true"], variables, {})
    assert violation.field == "job.environment.variables"


def test_annotations_may_have_64_kib_in_all_and_no_more():
    notes = {f"note-{n}": "\u00e4" * 8189 for n in range(4)}
    assert rules.size_violations(["true"], {}, notes) == ()
    (violation,) = rules.size_violations(["true"], {}, notes | {"one": "more"})
    assert violation.field == "job.annotations"


@pytest.mark.parametrize("cause", [Cause.BAD_COMMAND, Cause.LOST])
def test_what_a_node_says_of_an_end_is_cut_to_what_can_be_stored_and_shown(cause):
    ended = rules.ending(cause, None, None, "no \0 such\nprogram" + "x" * 5_000_000, faults=1)
    assert ended.message.startswith("no ? such?program")
    assert len(ended.message) == 1024


@pytest.mark.parametrize(
    ("cause", "code", "blamed"),
    [
        (Cause.COMPLETED, 1, True),
        (Cause.COMPLETED, None, True),
        (Cause.STOPPED, None, True),
        (Cause.STOPPED, 0, True),
        (Cause.COMPLETED, 0, False),
        (Cause.COMPLETED, rules.REQUEUE_EXIT_CODE, False),
        (Cause.TIME_LIMIT, None, False),
        (Cause.LOST, None, False),
    ],
)
def test_a_gpu_that_failed_is_blamed_for_what_it_can_have_done(cause, code, blamed):
    assert rules.blaming_device(cause, code, failed=False) is cause
    said = rules.blaming_device(cause, code, failed=True)
    assert said is (Cause.GPU_FAULT if blamed else cause)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [(1, "5 runs that one node failed"), (4, "4 different nodes failed, so look")],
)
def test_a_job_that_is_given_up_says_whether_one_node_or_many_failed_it(nodes, words):
    given_up = rules.ending(Cause.LOST, None, None, "", faults=5, nodes=nodes)
    assert words in given_up.message
