"""Which failures are tried again, and how long a job waits for that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.jobs.v1 import job_retry_pb2
from windlass_server.jobs.retry_policy import policy_of
from windlass_server.jobs.retry_rules import CAUSES, Backoff, Policy, retried
from windlass_server.jobs.rules import Cause, Ending, ending
from windlass_server.jobs.states import Event

SECOND = 1_000_000
EXIT_3 = ending(Cause.COMPLETED, 3, None, "", faults=0)
ABORTED = ending(Cause.COMPLETED, None, 6, "", faults=0)
NO_MEMORY = ending(Cause.OUT_OF_MEMORY, None, 9, "", faults=0)
LATE = ending(Cause.TIME_LIMIT, None, 9, "", faults=0)
NO_PROGRAM = ending(Cause.BAD_COMMAND, None, None, "", faults=0)
CODES = {id(EXIT_3): (3, None), id(ABORTED): (None, 6)}


def test_causes_are_those_of_the_contract():
    contract = set(job_retry_pb2.RetryPolicy.Cause.keys()) - {"CAUSE_UNSPECIFIED"}
    assert contract == CAUSES


@pytest.mark.parametrize(
    ("policy", "again"),
    [
        ({}, [EXIT_3, ABORTED, NO_MEMORY, LATE]),
        ({"exit_codes": [3, 4]}, [EXIT_3]),
        ({"exit_codes": [4]}, []),
        ({"signals": [6]}, [ABORTED]),
        ({"signals": [9]}, []),
        ({"causes": ["OUT_OF_MEMORY"]}, [NO_MEMORY]),
        ({"causes": ["TIME_LIMIT"], "exit_codes": [3]}, [EXIT_3, LATE]),
        ({"causes": ["NONZERO_EXIT"], "exit_codes": [4]}, [EXIT_3]),
        ({"causes": ["BAD_COMMAND"]}, [NO_PROGRAM]),
    ],
)
def test_a_policy_says_which_failures_are_tried_again(policy, again):
    for one in (EXIT_3, ABORTED, NO_MEMORY, LATE, NO_PROGRAM):
        code, signal = CODES.get(id(one), (None, None))
        found = retried(
            one,
            Policy(max_attempts=2, **policy),
            failed=0,
            exit_code=code,
            exit_signal=signal,
            chance=0.5,
        )
        assert (found is not None) == (one in again), one


@pytest.mark.parametrize(
    "one",
    [
        ending(Cause.COMPLETED, 0, None, "", faults=0),
        ending(Cause.COMPLETED, 85, None, "", faults=0),
        ending(Cause.LOST, None, None, "", faults=1),
        ending(Cause.LOST, None, None, "", faults=5),
        ending(Cause.NODE_SHUTDOWN, None, None, "", faults=0),
        ending(Cause.STOPPED, None, None, "", faults=0, preempted="it was stopped for job-1"),
        ending(Cause.STOPPED, None, None, "", faults=0),
    ],
)
def test_what_is_no_fault_of_the_command_is_no_business_of_its_policy(one: Ending):
    policy = Policy(max_attempts=9, causes=CAUSES)
    assert retried(one, policy, failed=0, exit_code=None, exit_signal=None, chance=0.5) is None


@pytest.mark.parametrize(("most", "failures"), [(0, 1), (1, 1), (2, 2), (3, 3)])
def test_a_job_fails_when_so_many_of_its_runs_have(most, failures):
    policy, failed = Policy(max_attempts=most), 0
    while retried(EXIT_3, policy, failed=failed, exit_code=3, exit_signal=None, chance=0.5):
        failed += 1
    assert failed + 1 == failures


def test_the_words_say_what_failed_which_retry_it_is_and_when():
    policy = Policy(max_attempts=3)
    found = retried(EXIT_3, policy, failed=1, exit_code=3, exit_signal=None, chance=0.5)
    assert found is not None
    assert (found.ending.event, found.ending.reason) == (Event.REQUEUE, "RETRY_BACKOFF")
    assert found.ending.message == "the command returned 3; retry 2 of 2 is queued in 20 s"


@pytest.mark.parametrize(
    ("backoff", "seconds"),
    [
        (Backoff(), [10, 20, 40, 80, 160, 320, 600, 600]),
        (Backoff(initial=0), [0, 0, 0]),
        (Backoff(initial=5 * SECOND, multiplier=1), [5, 5, 5]),
        (Backoff(initial=900 * SECOND), [900, 900]),
        (Backoff(initial=900 * SECOND, most=60 * SECOND), [60, 60]),
        (Backoff(initial=SECOND, multiplier=10, most=50 * SECOND), [1, 10, 50]),
    ],
)
def test_waits_grow_up_to_the_cap(backoff, seconds):
    found = [backoff.delay(number + 1, 0.5) // SECOND for number in range(len(seconds))]
    assert found == seconds


@given(
    retry=st.integers(1, 100),
    chance=st.floats(0, 1),
    jitter=st.floats(0, 1),
    initial=st.integers(0, 604_800 * SECOND),
    most=st.integers(0, 604_800 * SECOND),
    multiplier=st.floats(1, 10),
)
def test_no_wait_is_negative_or_more_than_the_cap_with_its_jitter(
    retry, chance, jitter, initial, most, multiplier
):
    delay = Backoff(initial, most, multiplier, jitter).delay(retry, chance)
    assert 0 <= delay <= most * (1 + jitter) + 1


def test_what_a_policy_leaves_out_is_as_the_contract_says():
    assert policy_of(job_retry_pb2.RetryPolicy(max_attempts=3)) == Policy(3)
    full = job_retry_pb2.RetryPolicy(
        max_attempts=3,
        backoff={"initial": {"seconds": 1}, "max": {"seconds": 9}, "multiplier": 3, "jitter": 0},
        on_exit_codes=[1],
        on_signals=[6],
        on_causes=["OUT_OF_MEMORY"],
    )
    backoff = Backoff(SECOND, 9 * SECOND, 3.0, 0.0)
    assert policy_of(full) == Policy(3, backoff, (1,), (6,), ("OUT_OF_MEMORY",))
