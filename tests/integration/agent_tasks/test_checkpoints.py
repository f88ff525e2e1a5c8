"""What a task saves and finds, on each rung of the ladder, with a runner and no server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.agent_tasks.conftest import weaker
from tests.support.fake_checkpoints import FakeCheckpoints
from tests.support.tasks import Bench, a_bench, a_script
from windlass_agent import live_saves
from windlass_agent.run_types import Cause, Damage, Isolation, Level, Phase, Restore, RunRequest

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


async def test_a_defect_of_the_agent_holds_no_run_up(saving: Bench, checkpoints: FakeCheckpoints):
    checkpoints.defect = LookupError("no such thing")
    exit_ = await saving.end(a_script(SAVES))
    assert exit_.exit_code == 85
    assert "no such thing" in exit_.checkpoint_problem


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


ASKS = """
save() { touch "$WINDLASS_CHECKPOINT_DIR/.save"
  while [ -e "$WINDLASS_CHECKPOINT_DIR/.save" ]; do sleep 0.01; done
  cat "$WINDLASS_CHECKPOINT_DIR/.save.failed" 2>/dev/null || echo saved; }
echo 1 > "$WINDLASS_CHECKPOINT_DIR/state"; save
"""


async def test_a_task_can_have_its_checkpoint_saved_while_it_goes_on(
    data_dir: Path, machine: Isolation, checkpoints: FakeCheckpoints, monkeypatch
):
    monkeypatch.setattr(live_saves, "_PAUSE_SECONDS", 0.0)
    async with a_bench(data_dir, machine, checkpoints=checkpoints) as bench:
        bench.runner._saves._pause = 0.0
        run = a_script(ASKS + 'echo 2 > "$WINDLASS_CHECKPOINT_DIR/state"; save; exit 85')
        assert await bench.output(run) == "saved\nsaved\n"
    ends = [None if end is None else end.exit_code for _, end, _ in checkpoints.saved]
    assert ends == [None, None, 85]
    assert [content for *_, content in checkpoints.saved] == [
        {"state": "1\n"}, {"state": "2\n"}, {"state": "2\n"},
    ]  # fmt: skip


async def test_a_task_is_told_why_its_checkpoint_was_not_saved(
    saving: Bench, checkpoints: FakeCheckpoints
):
    checkpoints.problem = "The disk is full."
    run = a_script(ASKS)
    assert await saving.output(run) == "The disk is full."


async def test_a_save_that_was_asked_for_before_the_agent_came_is_made(
    data_dir: Path, machine: Isolation, checkpoints: FakeCheckpoints
):
    run = a_script(ASKS)
    async with a_bench(data_dir, machine) as bench:  # which keeps nothing
        await bench.start(run)
        await bench.runner.close(stop_tasks=False)
        async with a_bench(data_dir, machine, checkpoints=checkpoints) as other:
            assert await other.output(run) == "saved\n"
        bench.newest.clear()
        bench.runner._runs.clear()
        await bench.runner.start_up()


async def test_a_save_under_way_gives_way_to_the_one_of_the_end(
    saving: Bench, checkpoints: FakeCheckpoints
):
    checkpoints.go.clear()
    run = a_script('touch "$WINDLASS_CHECKPOINT_DIR/.save"; ' + SAVES)
    await saving.start(run)
    await checkpoints.asked.wait()
    checkpoints.go.set()
    assert (await saving.end(run)).exit_code == 85
    assert checkpoints.saved[-1][1] is not None
    assert checkpoints.saved[-1][2] == {"state": "1\n"}


@pytest.mark.parametrize(
    ("problem", "cause"),
    [
        ("There is no room.", Cause.LAUNCH_FAILED),
        (Damage("It is damaged."), Cause.CHECKPOINT_DAMAGED),
    ],
)
async def test_a_checkpoint_that_cannot_be_restored_is_no_start(
    saving: Bench, checkpoints: FakeCheckpoints, problem: str, cause: Cause
):
    checkpoints.problem = problem
    exit_ = await saving.end(a_script("echo started", restore=EARLIER))
    assert (exit_.cause, exit_.message) == (cause, problem)


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
