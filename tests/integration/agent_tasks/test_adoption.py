import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support.tasks import PATIENCE_SECONDS, a_bench, a_run, a_script, processes_with
from windlass_agent import adoption, rundir
from windlass_agent.run_types import Cause, Isolation, Level, Phase, RunRequest

AGENT = """
import asyncio, json, sys
from pathlib import Path
from windlass_agent.run_types import Isolation, Level, Phase, RunRequest
from windlass_agent.runner import Runner

async def main():
    data_dir, isolation, requests = json.loads(sys.argv[1])
    isolation["level"] = Level(isolation["level"])
    runner = Runner(Path(data_dir), Isolation(**isolation))
    await runner.start_up()
    changes, running = runner.changes(), set()
    for request in requests:
        await runner.run(RunRequest(**request))
    async for state in changes:
        if state.phase >= Phase.RUNNING:
            running.add(state.run_id)
        if len(running) == len(requests):
            break
    print("running", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def killed_agent(data_dir: Path, isolation: Isolation, *requests: RunRequest) -> None:
    """An agent process that started tasks and then was killed by SIGKILL."""
    content = [str(data_dir), asdict(isolation), [asdict(request) for request in requests]]
    with subprocess.Popen(
        [sys.executable, "-c", AGENT, json.dumps(content)], stdout=subprocess.PIPE
    ) as agent:
        assert agent.stdout.readline() == b"running\n"
        agent.kill()


def shim_of(data_dir: Path, request: RunRequest) -> int:
    return rundir.read_claim(data_dir / "runs" / f"{request.run_id}.{request.epoch}").shim.pid


@pytest.fixture(params=[Level.SANDBOX, Level.RLIMITS, "RLIMITS, no cgroup"])
def isolation(request: pytest.FixtureRequest, machine: Isolation) -> Isolation:
    if request.param == "RLIMITS, no cgroup":
        return Isolation(Level.RLIMITS)
    if machine.level < request.param:
        pytest.skip(f"this machine has no sandbox: {machine.degraded_reason}")
    return Isolation(request.param, machine.cgroup_limits, machine.cgroup_version)


async def test_a_task_outlives_its_agent_and_the_next_one_adopts_it(data_dir, isolation):
    source = 'echo one; until [ -e "$HOME/go" ]; do sleep 0.01; done; echo two; exit 7'
    run = a_script(source, "86441")
    killed_agent(data_dir, isolation, run)
    assert processes_with("86441")
    async with a_bench(data_dir, isolation) as bench:
        state = bench.newest[run.run_id]
        assert (state.phase, state.isolation.level) == (Phase.RUNNING, isolation.level)
        (data_dir / "runs" / f"{run.run_id}.1" / "work" / "go").touch()
        assert (await bench.end(run)).exit_code == 7
        assert await bench.output(run) == "one\ntwo\n"
        ends = [state for state in bench.history if state.exit]
        assert len(ends) == 1


async def test_a_task_that_ended_while_there_was_no_agent_has_its_result(data_dir, isolation):
    run = a_script("exit 8")
    killed_agent(data_dir, isolation, run)
    async with a_bench(data_dir, isolation) as bench:
        assert (await bench.end(run)).exit_code == 8
    async with a_bench(data_dir, isolation) as bench:
        assert (await bench.end(run)).exit_code == 8
        assert bench.history == []


async def test_an_adopted_task_can_be_stopped(data_dir, isolation):
    run = a_run("sleep", "86442")
    killed_agent(data_dir, isolation, run)
    async with a_bench(data_dir, isolation) as bench:
        await bench.runner.stop(run.run_id, 10)
        exit_ = await bench.end(run)
        assert (exit_.cause, exit_.exit_signal) == (Cause.STOPPED, signal.SIGTERM)
    assert processes_with("86442") == []


async def test_a_killed_shim_takes_the_task_with_it_and_the_run_is_lost(data_dir, isolation):
    run = a_script('echo kept; setsid sleep "$1" & sleep "$1"', "86443")
    async with a_bench(data_dir, isolation) as bench:
        await bench.start(run)
        await bench.says(run.run_id, "kept")
        os.kill(shim_of(data_dir, run), signal.SIGKILL)
        exit_ = await bench.end(run)
        assert exit_.cause is Cause.LOST
        assert exit_.log_end == 13 + len("kept\n")
        assert processes_with("86443") == []


async def test_a_shim_that_died_without_an_agent_is_found_at_the_next_start(data_dir, isolation):
    run = a_script('setsid sleep "$1" & sleep "$1"', "86444")
    killed_agent(data_dir, isolation, run)
    shim = shim_of(data_dir, run)
    pidfd = os.pidfd_open(shim)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    async with a_bench(data_dir, isolation) as bench:
        assert (await bench.end(run)).cause is Cause.LOST
        assert processes_with("86444") == []
    os.close(pidfd)


async def test_a_run_is_never_started_twice_when_its_first_shim_is_late(data_dir, machine):
    run = a_run("true")
    folder = data_dir / "runs" / f"{run.run_id}.1"
    async with a_bench(data_dir, machine) as bench:
        intent = rundir.Intent(run, bench.runner._setup)
        rundir.write_intent(folder, intent)
        adoption.mark_lost(folder, intent)
        pidfd = await bench.runner._spawner.spawn(folder)
        if pidfd is not None:
            await ended(pidfd)
        assert rundir.read_result(folder).cause is Cause.LOST
        assert not (folder / rundir.STARTED).exists()


async def ended(pidfd: int) -> None:
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(pidfd, gone.set)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await gone.wait()
    asyncio.get_running_loop().remove_reader(pidfd)
    os.close(pidfd)


async def test_a_dead_spawner_is_replaced(data_dir, machine):
    async with a_bench(data_dir, machine) as bench:
        spawner = bench.runner._spawner._process.pid
        os.kill(spawner, signal.SIGKILL)
        assert (await bench.end(a_script("exit 9"))).exit_code == 9
        assert bench.runner._spawner._process.pid != spawner


async def test_the_path_of_the_data_folder_may_be_long(data_dir, machine):
    deep = data_dir / ("long" * 20) / ("path" * 20)
    async with a_bench(deep, machine) as bench:
        run = a_run("sleep", "86445")
        await bench.start(run)
        await bench.runner.stop(run.run_id, 5)
        assert (await bench.end(run)).exit_signal == signal.SIGTERM


async def test_groups_of_dead_runs_are_removed(data_dir, machine):
    async with a_bench(data_dir, machine) as bench:
        bases = bench.runner._setup.cgroup_bases
        stale = [Path(base) / "1-1" for base in bases.values()]
        for folder in stale:
            folder.mkdir(parents=True)
    async with a_bench(data_dir, machine):
        assert [folder for folder in stale if folder.exists()] == []
