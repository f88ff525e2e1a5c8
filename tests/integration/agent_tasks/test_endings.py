import signal

import pytest

from tests.support.tasks import Bench, a_run, a_script, processes_with
from windlass_agent.run_types import Cause, Level, Phase


@pytest.mark.parametrize(
    ("source", "code", "number"),
    [
        ("exit 0", 0, None),
        ("exit 3", 3, None),
        ("exit 137", 137, None),
        ("kill -KILL $$", None, signal.SIGKILL),
        ("kill -TERM $$", None, signal.SIGTERM),
        ("kill -SEGV $$", None, signal.SIGSEGV),
        ("kill -PIPE $$", None, signal.SIGPIPE),
    ],
)
async def test_an_exit_code_and_a_signal_are_told_apart(any_bench: Bench, source, code, number):
    exit_ = await any_bench.end(a_script(source))
    assert (exit_.cause, exit_.exit_code, exit_.exit_signal) == (Cause.COMPLETED, code, number)


@pytest.mark.parametrize(
    ("command", "directory", "words"),
    [
        (("no-such-program",), "", "not in any folder of PATH"),
        (("/no/such/program",), "", "'/no/such/program'"),
        (("/etc/passwd",), "", "not marked as executable"),
        (("/etc",), "", "'/etc'"),
        (("true",), "/no/such/folder", "working directory '/no/such/folder'"),
        (("true",), "/etc/passwd", "working directory '/etc/passwd'"),
    ],
)
async def test_a_command_that_cannot_run_is_the_users_fault_and_says_why(
    any_bench: Bench, command, directory, words
):
    exit_ = await any_bench.end(a_run(*command, working_directory=directory))
    assert exit_.cause is Cause.BAD_COMMAND
    assert words in exit_.message
    assert (exit_.exit_code, exit_.exit_signal) == (None, None)


async def test_arguments_are_handed_over_as_they_are(any_bench: Bench):
    odd = ["a b", "", "$HOME", "*", "'", "\n", "ü"]
    said = await any_bench.output(a_run("printf", "<%s>", *odd))
    assert said == "".join(f"<{text}>" for text in odd)


async def test_states_come_in_order_and_say_what_the_task_runs_with(any_bench: Bench):
    run = a_run("true")
    exit_ = await any_bench.end(run)
    states = [state for state in any_bench.history if state.run_id == run.run_id]
    assert [state.phase for state in states] == sorted(state.phase for state in states)
    last = states[-1]
    assert last.isolation is not None
    assert last.isolation.level >= Level.RLIMITS
    assert last.start_time_ns < exit_.end_time_ns


async def test_what_a_command_leaves_behind_ends_with_it(any_bench: Bench):
    run = a_script('setsid sleep "$1" & (setsid sleep "$1" &); exit 4', "86411")
    exit_ = await any_bench.end(run)
    assert exit_.exit_code == 4
    assert processes_with("86411") == []


async def test_a_task_that_asks_for_more_isolation_than_there_is_is_not_started(any_bench: Bench):
    run = a_run("true", min_isolation=Level.SANDBOX)
    exit_ = await any_bench.end(run)
    started = any_bench.newest[run.run_id].start_time_ns is not None
    assert started == (exit_.cause is Cause.COMPLETED)
    if not started:
        assert exit_.cause is Cause.LAUNCH_FAILED
        assert "SANDBOX" in exit_.message


async def test_a_known_run_is_left_alone_and_a_lower_epoch_too(bench: Bench):
    run = a_script("echo started", epoch=2)
    await bench.end(run)
    await bench.runner.run(run)
    await bench.runner.run(a_script("echo again", run_id=run.run_id, epoch=1))
    assert await bench.output(run) == "started\n"


async def test_a_higher_epoch_replaces_a_run_that_lives(bench: Bench):
    old = a_run("sleep", "86412")
    await bench.start(old)
    new = a_script("echo new", run_id=old.run_id, epoch=2)
    await bench.runner.run(new)
    assert processes_with("86412") == []
    state = await bench.reaches(new.run_id, Phase.EXITED)
    assert (state.epoch, state.exit.cause) == (2, Cause.COMPLETED)
    assert [known.epoch for known in bench.runner.states()] == [2]


async def test_a_forgotten_run_leaves_nothing(bench: Bench, data_dir):
    run = a_script("echo x > file")
    await bench.end(run)
    await bench.runner.forget(run.run_id)
    await bench.runner.forget(run.run_id)
    assert list((data_dir / "runs").iterdir()) == []
    assert bench.runner.states() == []
