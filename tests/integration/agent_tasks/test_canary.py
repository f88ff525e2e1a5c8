import json
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

import windlass_agent
from windlass_agent import canary
from windlass_agent.run_types import Isolation, Level

NOBODY = 65534
SYSTEM_PYTHON = "/usr/bin/python3"
TASKS = """
import asyncio, json, sys
from dataclasses import replace
from pathlib import Path
from windlass_agent import canary
from windlass_agent.run_types import Level, RunRequest
from windlass_agent.runner import Runner

async def end(isolation, number):
    runner = Runner(Path(sys.argv[1]), isolation)
    await runner.start_up()
    changes = runner.changes()
    await runner.run(RunRequest(f"run-{number:026d}", 1, ("sh", "-c", "id -u > file; kill -9 $$")))
    async for state in changes:
        if state.exit:
            await runner.close(stop_tasks=True)
            return state

found = canary.prove(Path(sys.argv[1]))
ends = []
for level in range(1, found.level + 1):
    state = asyncio.run(end(replace(found, level=Level(level)), level))
    ends.append([state.isolation.level, state.exit.exit_signal])
print(json.dumps([found.level, found.cgroup_limits, ends]))
"""


def test_this_machine_says_why_where_something_is_missing(machine: Isolation):
    whole = machine.level is Level.SANDBOX and machine.cgroup_limits == ("cpu", "memory", "pids")
    assert whole == (machine.degraded_reason == "")


def trial(change: str, folder: Path) -> tuple[Level, str]:
    """The strongest level found on a changed machine, and why no stronger one.

    In a process of its own, as the agent does it: the threads of others, such as gRPC's, do not
    survive a fork, and say so where the canary listens for its child.
    """
    script = f"""
import json, sys
from pathlib import Path
from windlass_agent import canary, sandbox
{change}
reasons = []
print(json.dumps([canary._strongest(Path(sys.argv[1]), reasons), "; ".join(reasons)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, check=True
    )
    level, reasons = json.loads(done.stdout)
    return Level(level), reasons


def test_without_bubblewrap_the_next_level_is_found_and_the_reason_told(tmp_path):
    level, reasons = trial("sandbox.BWRAP = '/no/such/bwrap'", tmp_path)
    assert level < Level.SANDBOX
    assert "sandbox is not possible" in reasons
    assert "/no/such/bwrap" in reasons or "No such file" in reasons


@pytest.mark.usefixtures("sandbox")
def test_a_sandbox_that_does_not_contain_is_not_believed(tmp_path):
    change = """
sandbox._hide = lambda _: []
sandbox.PRIVATE = ("/var/tmp", "/run", "/mnt", "/dev")
"""
    level, reasons = trial(change, tmp_path)
    assert level < Level.SANDBOX
    assert "secret seen" in reasons


def test_a_process_with_threads_must_not_try(tmp_path):
    asleep = threading.Event()
    thread = threading.Thread(target=asleep.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="threads"):
            canary.prove(tmp_path)
    finally:
        asleep.set()
        thread.join()


def test_canaries_leave_nothing_behind(tmp_path):
    canary.detect(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def nobodys_python() -> list[str]:
    """A Python that a user without rights can run, with windlass and psutil in reach."""
    if psutil.Process().uids().effective != 0:
        pytest.skip("only root can become another user")
    packages = [Path(windlass_agent.__file__).parents[1], Path(psutil.__file__).parents[1]]
    become = f"import os; os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    paths = f"import sys; sys.path[:0] = {[str(path) for path in packages]}\n"
    importing = become + paths + "import windlass_agent.runner"
    trial = subprocess.run([SYSTEM_PYTHON, "-c", importing], check=False)
    if trial.returncode != 0:
        pytest.skip(f"{SYSTEM_PYTHON} cannot import the agent as another user")
    return [SYSTEM_PYTHON, "-c", become + paths + TASKS]


def test_an_agent_without_root_runs_tasks_on_every_level_it_has(nobodys_python, data_dir):
    data_dir.chmod(0o777)
    folder = data_dir / "agent"
    done = subprocess.run([*nobodys_python, str(folder)], capture_output=True, env={}, check=True)
    level, limits, ends = json.loads(done.stdout)
    assert limits == []
    assert ends == [[number, 9] for number in range(1, level + 1)]
