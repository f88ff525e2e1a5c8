"""Secrets reach the task, and nothing that stays."""

import hashlib
import os
import signal
from pathlib import Path

import pytest

from tests.support.tasks import Bench, a_bench, a_run, a_script
from windlass_agent import rundir, task_secrets
from windlass_agent.run_types import Cause, Level
from windlass_agent.task_secrets import GivenSecret

VALUE = b"hunter2\nof two lines=\xff"
TOKEN = GivenSecret("TOKEN", VALUE)
KEY = GivenSecret("KEY", b"a\0b" * 30_000, file=True)


def files(bench: Bench) -> list[Path]:
    return list(Path(bench.runner._setup.secrets_folder).iterdir())


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()


async def test_a_task_has_its_secrets_on_every_level(any_bench: Bench, data_dir: Path):
    script = 'printf %s "$TOKEN" | sha256sum; sha256sum < "$KEY"; stat -c %a "$KEY"'
    run = a_script(script, secrets=(TOKEN, KEY), variables={"KEY": "of the user"})
    said = (await any_bench.output(run)).split()
    assert said == [digest(VALUE), "-", digest(KEY.value), "-", "400"]
    assert files(any_bench) == []
    kept = contents(data_dir)
    assert kept
    assert not [content for content in kept if b"hunter2" in content]


async def test_no_task_sees_the_secret_files_of_another(any_bench: Bench):
    if any_bench.runner._setup.isolation.level < Level.NAMESPACES:
        pytest.skip("on this level tasks see the machine as it is")
    first = a_script("echo ready; sleep 86461", secrets=(KEY,))
    await any_bench.start(first)
    await any_bench.says(first.run_id, "ready")
    (folder,) = files(any_bench)
    assert (folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o777) == (0o700, 0o700)
    script = f"ls {folder.parent} 2>/dev/null; cat {folder}/KEY 2>/dev/null | wc -c"
    looking = a_script(script, secrets=(KEY,))
    assert (await any_bench.output(looking)).split() == [f"{looking.run_id}.1", "0"]
    await any_bench.runner.stop(first.run_id, 0)
    assert (await any_bench.end(first)).cause is Cause.STOPPED
    assert files(any_bench) == []


async def test_the_files_go_when_the_supervisor_is_killed(bench: Bench, data_dir: Path):
    run = a_script("echo ready; sleep 86462", secrets=(KEY,))
    await bench.start(run)
    await bench.says(run.run_id, "ready")
    claim = rundir.read_claim(data_dir / "runs" / f"{run.run_id}.1")
    assert claim is not None
    os.kill(claim.shim.pid, signal.SIGKILL)
    assert (await bench.end(run)).cause is Cause.LOST
    assert files(bench) == []


async def test_a_run_is_given_its_secrets_by_another_spawner_when_the_first_has_died(bench: Bench):
    os.kill(bench.runner._spawner._process.pid, signal.SIGKILL)  # type: ignore[union-attr]
    run = a_script('printf %s "$TOKEN" | sha256sum', secrets=(TOKEN,))
    assert (await bench.output(run)).split() == [digest(VALUE), "-"]


async def test_the_agent_forgets_what_it_has_handed_on(bench: Bench):
    run = a_run("sleep", "86463", secrets=(TOKEN, KEY))
    await bench.start(run)
    assert bench.runner.request_of(run.run_id).secrets == ()  # type: ignore[union-attr]
    assert "hunter2" not in repr(run)


async def test_a_node_without_memory_for_files_starts_no_task_that_needs_one(
    data_dir, machine, monkeypatch
):
    monkeypatch.setattr(task_secrets, "_MEMORY", data_dir / "none")
    async with a_bench(data_dir, machine) as bench:
        end = await bench.end(a_run("true", secrets=(KEY,)))
        assert end.cause is Cause.LAUNCH_FAILED
        assert "no place in memory" in end.message
        assert (await bench.end(a_run("true", secrets=(TOKEN,)))).exit_code == 0


def test_a_folder_that_is_not_ours_alone_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(task_secrets, "_MEMORY", tmp_path)
    folder = Path(task_secrets.folder_for(tmp_path))
    assert folder.parent == tmp_path
    folder.chmod(0o755)
    assert task_secrets.folder_for(tmp_path) == ""
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert task_secrets.folder_for(tmp_path) == ""
