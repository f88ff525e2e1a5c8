import errno

import pytest

from tests.support.tasks import a_run
from windlass_agent.run_types import Cause, Isolation
from windlass_agent.rundir import Intent, NodeSetup
from windlass_agent.verdict import verdict
from windlass_agent.watch import Ending

KILLED = 9
CODE_3 = 3 << 8


@pytest.mark.parametrize(
    ("ending", "oom_kills", "cause", "code", "number"),
    [
        (Ending(started=True, wait_status=0), 0, Cause.COMPLETED, 0, None),
        (Ending(started=True, wait_status=CODE_3), 0, Cause.COMPLETED, 3, None),
        (Ending(started=True, wait_status=KILLED), 0, Cause.COMPLETED, None, 9),
        (Ending(started=True, wait_status=KILLED), 1, Cause.OUT_OF_MEMORY, None, 9),
        (Ending(started=True, wait_status=CODE_3), 1, Cause.OUT_OF_MEMORY, 3, None),
        (Ending(started=True, wait_status=0), 1, Cause.COMPLETED, 0, None),
        (Ending(started=True), 1, Cause.OUT_OF_MEMORY, None, None),
        (Ending(started=True), 0, Cause.LOST, None, None),
        (Ending(), 0, Cause.LAUNCH_FAILED, None, None),
        (Ending(stopped_for=Cause.STOPPED), 0, Cause.STOPPED, None, None),
        (
            Ending(started=True, stopped_for=Cause.TIME_LIMIT, killed=True),
            0,
            Cause.TIME_LIMIT,
            None,
            9,
        ),
        (
            Ending(started=True, stopped_for=Cause.STOPPED, wait_status=0),
            1,
            Cause.STOPPED,
            0,
            None,
        ),
        (Ending(failure=f"exec {errno.ENOENT}"), 0, Cause.BAD_COMMAND, None, None),
        (Ending(failure=f"exec {errno.ENOMEM}"), 0, Cause.LAUNCH_FAILED, None, None),
        (Ending(failure=f"chdir {errno.ENOENT}"), 0, Cause.BAD_COMMAND, None, None),
        (Ending(failure="isolation 1 mount /proc: denied"), 0, Cause.LAUNCH_FAILED, None, None),
    ],
)
def test_what_ended_a_run(ending, oom_kills, cause, code, number):
    run = a_run("program", working_directory="/data", time_limit_seconds=5.0)
    exit_ = verdict(ending, Intent(run, NodeSetup(Isolation(), {})), oom_kills=oom_kills)
    assert (exit_.cause, exit_.exit_code, exit_.exit_signal) == (cause, code, number)
    assert bool(exit_.message) == (
        cause not in (Cause.COMPLETED, Cause.STOPPED)
        or number == 9
        or (cause is Cause.STOPPED and not ending.started)
    )


def test_a_private_folder_that_cannot_be_entered_is_not_the_users_fault():
    intent = Intent(a_run("program"), NodeSetup(Isolation(), {}))
    assert verdict(Ending(failure="chdir 2"), intent, oom_kills=0).cause is Cause.LAUNCH_FAILED
