"""Tasks that are stopped where they are, and go on, on every way that this machine has for it."""

import asyncio
import operator
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.tasks import Bench, a_bench, a_run, a_script
from windlass_agent import rundir
from windlass_agent.cgroups import UNIFIED, Group
from windlass_agent.run_types import Cause, Isolation, RunRequest

# Says every 20 ms that it goes on, and so does a process that it has sent away.
TICKS = """
(while :; do echo b >> "$WINDLASS_CHECKPOINT_DIR/b"; sleep 0.02; done) &
echo ready
while :; do echo a >> "$WINDLASS_CHECKPOINT_DIR/a"; sleep 0.02; done
"""


async def becomes(bench: Bench, run_id: str, *, frozen: bool) -> None:
    await bench.runner.freeze(run_id, epoch=1, frozen=frozen)
    async with asyncio.timeout(30), bench.changed:
        await bench.changed.wait_for(lambda: bench.newest[run_id].frozen == frozen)


def ticks(bench: Bench, run: RunRequest) -> tuple[int, int]:
    folder = bench.runner._folder / f"{run.run_id}.1" / rundir.CHECKPOINT
    there = [folder / name for name in "ab"]
    return tuple(one.stat().st_size if one.exists() else 0 for one in there)  # type: ignore[return-value]


async def ticking(bench: Bench, run: RunRequest) -> None:
    """Return when both processes have gone on."""
    before = ticks(bench, run)
    async with asyncio.timeout(30):
        while any(map(operator.eq, ticks(bench, run), before)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def started(bench: Bench, **changes: object) -> RunRequest:
    run = a_script(TICKS, **changes)
    await bench.start(run)
    await bench.says(run.run_id, "ready")
    await ticking(bench, run)
    return run


async def test_a_frozen_task_stands_still_until_it_is_thawed(any_bench: Bench):
    run = await started(any_bench)
    for _ in range(2):
        await becomes(any_bench, run.run_id, frozen=True)
        before = ticks(any_bench, run)
        await asyncio.sleep(0.2)
        assert ticks(any_bench, run) == before
        # Again means nothing new.
        await any_bench.runner.freeze(run.run_id, epoch=1, frozen=True)
        await becomes(any_bench, run.run_id, frozen=False)
        await ticking(any_bench, run)


async def test_its_time_limit_waits_for_it(any_bench: Bench):
    run = a_run("sleep", "86473", time_limit_seconds=2.0, grace_seconds=0.1)
    await any_bench.start(run)
    await becomes(any_bench, run.run_id, frozen=True)
    await asyncio.sleep(2.5)
    assert any_bench.newest[run.run_id].exit is None
    await becomes(any_bench, run.run_id, frozen=False)
    assert (await any_bench.end(run)).cause is Cause.TIME_LIMIT


@pytest.mark.parametrize("trap", [True, False])
async def test_a_frozen_task_that_is_stopped_hears_it_in_its_grace_period(any_bench: Bench, trap):
    said = "trap 'echo bye; exit 0' TERM" if trap else "trap '' TERM"
    run = a_script(f"{said}; echo ready; while :; do sleep 0.02; done")
    await any_bench.start(run)
    await any_bench.says(run.run_id, "ready")
    await becomes(any_bench, run.run_id, frozen=True)
    await any_bench.runner.stop(run.run_id, 20 if trap else 0.3)
    end = await any_bench.end(run)
    assert (end.cause, end.exit_code, end.exit_signal) == (
        (Cause.STOPPED, 0, None) if trap else (Cause.STOPPED, None, signal.SIGKILL)
    )
    assert ("bye" in await any_bench.output(run)) == trap


async def test_it_stays_frozen_when_its_agent_is_replaced(data_dir: Path, machine: Isolation):
    run = a_script(TICKS)
    async with a_bench(data_dir, machine) as bench:
        await bench.start(run)
        await ticking(bench, run)
        await becomes(bench, run.run_id, frozen=True)
        async with a_bench(data_dir, machine) as later:
            assert later.newest[run.run_id].frozen
            before = ticks(later, run)
            await asyncio.sleep(0.1)
            assert ticks(later, run) == before
            await becomes(later, run.run_id, frozen=False)
            await ticking(later, run)


async def test_what_is_frozen_before_its_command_runs_stands_still_then(bench: Bench):
    run = a_run("sleep", "86471")
    await bench.runner.run(run)
    await becomes(bench, run.run_id, frozen=True)


async def test_of_a_run_that_is_unknown_over_or_of_another_epoch_nothing_happens(bench: Bench):
    await bench.runner.freeze("run-" + "0" * 26, epoch=1, frozen=True)
    run = await started(bench)
    await bench.runner.freeze(run.run_id, epoch=2, frozen=True)
    await ticking(bench, run)
    await bench.runner.stop(run.run_id, 0)
    await bench.end(run)
    await bench.runner.freeze(run.run_id, epoch=1, frozen=True)
    assert not bench.newest[run.run_id].frozen


@pytest.fixture
def unified() -> Iterator[Group]:
    """A group of version 2, which is there beside those of version 1 on many machines."""
    places = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
    base = next((one for one in places if os.access(one / "cgroup.procs", os.W_OK)), None)
    if base is None or not (base / "cgroup.controllers").exists():
        pytest.skip("this machine has no cgroup of version 2 that is ours")
    group = Group.make({UNIFIED: str(base)}, f"windlass-test-{os.getpid()}")
    yield group
    group.kill()
    group.remove()


def test_a_group_of_version_2_is_frozen_thawed_and_killed(unified: Group):
    with subprocess.Popen(["sleep", "86472"]) as child:
        Path(unified.folders[UNIFIED], "cgroup.procs").write_text(str(child.pid))
        assert unified.freeze(frozen=True)
        wait_until(unified.is_frozen)
        assert unified.freeze(frozen=False)
        wait_until(lambda: not unified.is_frozen())
        unified.freeze(frozen=True)
        unified.kill()
        assert child.wait(timeout=30) == -signal.SIGKILL


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)
