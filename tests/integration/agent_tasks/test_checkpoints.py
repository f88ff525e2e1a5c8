"""What a task saves and finds, on each rung of the ladder, with a runner and no server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.agent_tasks.conftest import weaker
from tests.support.fake_checkpoints import FakeCheckpoints
from tests.support.tasks import Bench, a_bench, a_script
from windlass_agent.run_types import Cause, Isolation, Level, Phase, Restore, RunRequest

SAVES = 'echo "$WINDLASS_ATTEMPT" > "$WINDLASS_CHECKPOINT_DIR/state"; exit 85'
EARLIER = Restore("ckpt-1", 5)


@pytest.fixture
def checkpoints() -> FakeCheckpoints:
    return FakeCheckpoints(state="step 7")


@pytest.fixture
async def saving(
    data_dir: Path, machine: Isolation, checkpoints: FakeCheckpoints
) -> AsyncIterator[Bench]:
    """A runner whose tasks' checkpoints are kept."""
    async with a_bench(data_dir, machine, checkpoints=checkpoints) as bench:
        yield bench
        checkpoints.go.set()


@pytest.mark.parametrize("level", [Level.SANDBOX, Level.NAMESPACES, Level.RLIMITS])
async def test_a_task_finds_what_was_saved_and_saves_anew(
    data_dir: Path, machine: Isolation, checkpoints: FakeCheckpoints, level: Level
):
    if machine.level < level:
        pytest.skip(f"this machine has no {level.name}: {machine.degraded_reason}")
    run = a_script(
        'read state < "$WINDLASS_RESTORE_FROM/state"; echo "found $state"\n'
        '(echo changed > "$WINDLASS_RESTORE_FROM/state") 2>/dev/null\n' + SAVES,
        restore=EARLIER,
        attempt=3,
    )
    async with a_bench(data_dir, weaker(machine, level), checkpoints=checkpoints) as bench:
        exit_ = await bench.end(run)
        assert "found step 7" in await bench.output(run)
        restored = data_dir / "runs" / f"{run.run_id}.1" / "restore" / "state"
        if level > Level.RLIMITS:
            assert restored.read_text() == "step 7"
    assert (exit_.exit_code, exit_.checkpoint_problem) == (85, "")
    ((run_id, end, content),) = checkpoints.saved
    assert (run_id, end.exit_code, content) == (run.run_id, 85, {"state": "3\n"})


async def test_without_an_earlier_attempt_there_is_nothing_to_restore_from(saving: Bench):
    run = a_script('echo "${WINDLASS_RESTORE_FROM-unset}"')
    assert await saving.output(run) == "unset\n"


async def test_a_task_that_saves_nothing_ends_at_once(saving: Bench, checkpoints: FakeCheckpoints):
    checkpoints.go.clear()
    assert (await saving.end(a_script("exit 0"))).cause is Cause.COMPLETED
    assert checkpoints.saved == []


async def test_a_run_has_not_ended_before_its_checkpoint_is_kept(
    saving: Bench, checkpoints: FakeCheckpoints
):
    checkpoints.go.clear()
    run = a_script(SAVES)
    await saving.start(run)
    await checkpoints.asked.wait()
    (state,) = saving.runner.states()
    assert (state.phase, state.exit) == (Phase.RUNNING, None)
    assert saving.runner.usage(run.run_id) is None
    await saving.runner.stop(run.run_id, 0)  # which there is nothing left to do for
    checkpoints.go.set()
    assert (await saving.end(run)).exit_code == 85
    assert len(checkpoints.saved) == 1


async def test_what_goes_wrong_with_it_is_told_with_the_end(
    saving: Bench, checkpoints: FakeCheckpoints
):
    checkpoints.problem = "The disk is full."
    exit_ = await saving.end(a_script(SAVES))
    assert (exit_.exit_code, exit_.checkpoint_problem) == (85, "The disk is full.")


async def test_the_next_agent_keeps_what_the_one_before_could_not(
    data_dir: Path, machine: Isolation, checkpoints: FakeCheckpoints
):
    run = a_script(SAVES)
    checkpoints.go.clear()
    async with a_bench(data_dir, machine, checkpoints=checkpoints) as bench:
        await bench.start(run)
        await checkpoints.asked.wait()
        await bench.runner.close(stop_tasks=False)
        await bench.runner.start_up()
        (state,) = bench.runner.states()
        assert state.phase is Phase.RUNNING
        checkpoints.go.set()
        assert (await bench.end(run)).exit_code == 85
    assert [content for *_, content in checkpoints.saved] == [{"state": "1\n"}]
    # And then nobody does so again.
    async with a_bench(data_dir, machine, checkpoints=checkpoints) as bench:
        assert bench.newest[run.run_id].phase is Phase.EXITED
    assert len(checkpoints.saved) == 1


async def test_a_checkpoint_that_cannot_be_restored_is_no_start(
    saving: Bench, checkpoints: FakeCheckpoints
):
    checkpoints.problem = "The checkpoint could not be restored."
    exit_ = await saving.end(a_script("echo started", restore=EARLIER))
    assert (exit_.cause, exit_.message) == (Cause.LAUNCH_FAILED, checkpoints.problem)


async def test_a_run_can_be_stopped_while_its_checkpoint_is_brought(
    saving: Bench, checkpoints: FakeCheckpoints
):
    checkpoints.go.clear()
    run = a_script("echo started", restore=EARLIER)
    await saving.runner.run(run)
    await checkpoints.asked.wait()
    await saving.runner.stop(run.run_id, 10)
    assert (await saving.end(run)).cause is Cause.STOPPED
    assert await saving.output(run) == ""


async def test_a_newer_placement_does_not_wait_for_the_older_ones_checkpoint(
    saving: Bench, checkpoints: FakeCheckpoints
):
    checkpoints.go.clear()
    run = a_script(SAVES)
    await saving.start(run)
    await checkpoints.asked.wait()
    newer = RunRequest(run.run_id, 2, ("true",))
    await saving.runner.run(newer)
    await saving.reaches(run.run_id, Phase.EXITED)
    assert saving.newest[run.run_id].epoch == 2
