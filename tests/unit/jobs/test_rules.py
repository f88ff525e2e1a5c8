"""What the end of a run means, and what is too large."""

import pytest

from windlass.agents.v1 import agent_pb2
from windlass_server.jobs import rules
from windlass_server.jobs.states import Event


@pytest.mark.parametrize(
    ("cause", "code", "signal", "attempt", "event", "reason"),
    [
        ("COMPLETED", 0, None, 1, Event.SUCCEED, "COMPLETED"),
        ("COMPLETED", 3, None, 1, Event.FAIL, "NONZERO_EXIT"),
        ("COMPLETED", None, 11, 1, Event.FAIL, "KILLED"),
        ("STOPPED", None, 15, 1, Event.STOP, "STOPPED"),
        ("STOPPED", 0, None, 1, Event.STOP, "STOPPED"),
        ("TIME_LIMIT", None, 9, 1, Event.RUN_OUT_OF_TIME, "TIME_LIMIT"),
        ("OUT_OF_MEMORY", None, 9, 1, Event.RUN_OUT_OF_MEMORY, "OUT_OF_MEMORY"),
        ("BAD_COMMAND", None, None, 1, Event.FAIL, "BAD_COMMAND"),
        ("LAUNCH_FAILED", None, None, 1, Event.REQUEUE, "LAUNCH_FAILED"),
        ("LOST", None, None, 4, Event.REQUEUE, "LOST"),
        ("NODE_SHUTDOWN", None, 15, 1, Event.REQUEUE, "NODE_SHUTDOWN"),
        ("LOST", None, None, 5, Event.FAIL, "TOO_MANY_NODE_FAULTS"),
    ],
)
def test_the_end_of_a_run_ends_or_requeues_its_job(cause, code, signal, attempt, event, reason):
    ending = rules.ending(cause, code, signal, "", attempt)
    assert (ending.event, ending.reason) == (event, reason)
    assert ending.message


@pytest.mark.parametrize("cause", [value for value in agent_pb2.RunExit.Cause.values() if value])
def test_every_cause_of_the_contract_has_a_meaning(cause):
    name = agent_pb2.RunExit.Cause.Name(cause)
    assert rules.ending(name, None, None, "why", 1).message


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
    assert rules.size_violations([argument] * 128, {}) == ()
    (violation,) = rules.size_violations([argument] * 129, {})
    assert violation.field == "job.command"


def test_an_environment_may_have_a_mebibyte_in_all_and_no_more():
    value = "x" * 65_000
    (violation,) = rules.size_violations(["true"], {f"V{n}": value for n in range(17)})
    assert violation.field == "job.environment.variables"


@pytest.mark.parametrize("cause", ["BAD_COMMAND", "LOST"])
def test_what_a_node_says_of_an_end_is_cut_to_what_can_be_stored_and_shown(cause):
    ended = rules.ending(cause, None, None, "no \0 such\nprogram" + "x" * 5_000_000, attempt=1)
    assert ended.message.startswith("no ? such?program")
    assert len(ended.message) == 1024
