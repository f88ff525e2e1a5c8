import json
import subprocess
from pathlib import Path

import psutil
import pytest

import windlass_agent
from windlass_agent import canary, sandbox
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


def test_without_bubblewrap_the_next_level_is_found_and_the_reason_told(monkeypatch, tmp_path):
    reasons: list[str] = []
    monkeypatch.setattr(sandbox, "BWRAP", "/no/such/bwrap")
    assert canary._strongest(tmp_path, reasons) < Level.SANDBOX
    assert "sandbox is not possible" in reasons[0]
    assert "/no/such/bwrap" in reasons[0] or "No such file" in reasons[0]


def test_a_sandbox_that_does_not_contain_is_not_believed(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox, "_hide", lambda _: [])
    monkeypatch.setattr(sandbox, "PRIVATE", ("/var/tmp", "/run", "/mnt", "/dev"))
    reasons: list[str] = []
    canary._strongest(tmp_path, reasons)
    assert any("secret seen" in reason for reason in reasons), reasons


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
