import asyncio

import pytest

from tests.support.tasks import Bench, a_bench, a_run, a_script, processes_with
from windlass_agent.run_types import Cause, Phase

pytestmark = pytest.mark.usefixtures("all_limits")

GREEDY = "import sys; kept = [bytearray(1 << 20) for _ in range(int(sys.argv[1]))]"
MIB = 1 << 20


async def test_only_the_task_that_takes_too_much_memory_is_ended(bench: Bench):
    modest = a_run("sleep", "86431", memory_bytes=32 * MIB)
    await bench.start(modest)
    exit_ = await bench.end(a_run("python3", "-c", GREEDY, "256", memory_bytes=64 * MIB))
    assert exit_.cause is Cause.OUT_OF_MEMORY
    assert "64 MiB" in exit_.message
    assert bench.newest[modest.run_id].phase is Phase.RUNNING


async def test_a_child_that_is_killed_for_memory_counts_when_the_command_fails_by_it(bench: Bench):
    run = a_script('python3 -c "$1" 256; exit 9', GREEDY, memory_bytes=64 * MIB)
    exit_ = await bench.end(run)
    assert (exit_.cause, exit_.exit_code) == (Cause.OUT_OF_MEMORY, 9)


async def test_a_task_that_survives_a_childs_death_for_memory_completes(bench: Bench):
    run = a_script('python3 -c "$1" 256; exit 0', GREEDY, memory_bytes=64 * MIB)
    assert (await bench.end(run)).cause is Cause.COMPLETED


async def test_a_fork_bomb_is_bounded_and_ends(machine, data_dir):
    bomb = """
import os, sys
count = 0
try:
    while count < 500:
        if os.fork() == 0:
            os.read(0, 0); os.execvp("sleep", ["sleep", "86432"])
        count += 1
except OSError as error:
    print(count, error.errno, flush=True)
os.execvp("sleep", ["sleep", "86432"])
"""
    async with a_bench(data_dir, machine, pids_limit=40) as bench:
        run = a_run("python3", "-c", bomb)
        await bench.start(run)
        count, number = (await bench.says(run.run_id, "\n")).split()
        assert (int(count) <= 40, number) == (True, "11")
        await bench.runner.stop(run.run_id, 0)
        await bench.end(run)
    assert processes_with("86432") == []


async def test_usage_is_that_of_the_task(bench: Bench):
    run = a_run("python3", "-c", f"x = bytearray({64 * MIB})\nprint('ready')\nwhile True: pass")
    await bench.start(run)
    assert bench.runner.usage(run.run_id) is not None
    await bench.says(run.run_id, "ready")
    async with asyncio.timeout(30):
        # It is what was used since the last look, between which a busy machine may give it nothing.
        while not (usage := bench.runner.usage(run.run_id)).cpu_used_millis:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert usage.memory_used_bytes > 48 * MIB
    assert usage.pids >= 1
    spinning = processes_with("while True: pass")
    assert run.run_id in {bench.runner.run_of_pid(pid) for pid in spinning}
    assert bench.runner.run_of_pid(1) == ""
    await bench.runner.stop(run.run_id, 0)
    await bench.end(run)
    assert bench.runner.usage(run.run_id) is None
