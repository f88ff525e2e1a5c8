import signal

import pytest

from tests.support.tasks import Bench, a_run, a_script, processes_with
from windlass_agent.run_types import BadRunId, Cause, RunNotEnded

STUBBORN = """
trap '' TERM
setsid sh -c 'trap "" TERM; while :; do sleep "$0"; done' "$1" &
(setsid sh -c 'trap "" TERM; while :; do sleep "$0"; done' "$1" &)
echo ready
while :; do sleep "$1"; done
"""


async def test_a_task_may_end_by_itself_within_the_grace_period(any_bench: Bench):
    run = a_script("trap 'echo saved; exit 5' TERM; echo ready; while :; do sleep 0.01; done")
    await any_bench.start(run)
    await any_bench.says(run.run_id, "ready")
    await any_bench.runner.stop(run.run_id, 30)
    exit_ = await any_bench.end(run)
    assert (exit_.cause, exit_.exit_code) == (Cause.STOPPED, 5)
    assert "saved" in await any_bench.output(run)


async def test_nothing_survives_the_end_of_the_grace_period(any_bench: Bench):
    run = a_script(STUBBORN, "86421")
    await any_bench.start(run)
    await any_bench.says(run.run_id, "ready")
    await any_bench.runner.stop(run.run_id, 0.1)
    exit_ = await any_bench.end(run)
    assert (exit_.cause, exit_.exit_signal) == (Cause.STOPPED, signal.SIGKILL)
    assert processes_with("86421") == []


async def test_a_repeat_with_a_shorter_grace_shortens_it(bench: Bench):
    run = a_script(STUBBORN, "86422")
    await bench.start(run)
    await bench.says(run.run_id, "ready")
    await bench.runner.stop(run.run_id, 3600)
    await bench.runner.stop(run.run_id, 3600)
    await bench.runner.stop(run.run_id, 0)
    assert (await bench.end(run)).cause is Cause.STOPPED
    await bench.runner.stop(run.run_id, 0)


async def test_the_time_limit_ends_a_task(any_bench: Bench):
    run = a_script(STUBBORN, "86423", time_limit_seconds=0.2, grace_seconds=0.1)
    exit_ = await any_bench.end(run)
    assert (exit_.cause, exit_.exit_signal) == (Cause.TIME_LIMIT, signal.SIGKILL)
    assert "0.2 s" in exit_.message
    assert processes_with("86423") == []


async def test_a_run_that_was_stopped_before_it_was_known_is_never_started(bench: Bench):
    run = a_script("echo started", epoch=3)
    await bench.runner.stop(run.run_id, 0, epoch=3)
    exit_ = await bench.end(run)
    assert exit_.cause is Cause.STOPPED
    assert bench.newest[run.run_id].start_time_ns is None


async def test_a_stop_of_an_older_epoch_does_not_reach_a_newer_one(bench: Bench):
    run = a_script("read x < fifo || echo done", epoch=4)
    await bench.start(a_script("exit 0", run_id=run.run_id, epoch=4))
    await bench.runner.stop(run.run_id, 0, epoch=3)
    assert (await bench.end(run)).cause is Cause.COMPLETED


async def test_a_living_run_cannot_be_forgotten(bench: Bench):
    run = a_run("sleep", "86424")
    await bench.start(run)
    with pytest.raises(RunNotEnded):
        await bench.runner.forget(run.run_id)


@pytest.mark.parametrize(
    "run_id", ["", "run-x", "../../etc", f"run-{'0' * 26}/..", "run-" + "A" * 26]
)
async def test_a_malformed_id_never_becomes_a_path(bench: Bench, run_id):
    with pytest.raises(BadRunId):
        await bench.runner.run(a_run("true", run_id=run_id))
    with pytest.raises(BadRunId):
        await bench.runner.stop(run_id, 0, epoch=1)


async def test_closing_with_tasks_names_the_nodes_shutdown_as_the_cause(bench: Bench):
    run = a_run("sleep", "86425")
    await bench.start(run)
    await bench.runner.close(stop_tasks=True)
    assert [state.exit.cause for state in bench.runner.states()] == [Cause.NODE_SHUTDOWN]
    await bench.runner.start_up()
